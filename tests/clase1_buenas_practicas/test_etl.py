"""El ETL valida, reparte sin fugas y no deja nada a medias."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from clase1_buenas_practicas.etl import (
    Split,
    read_partition,
    remove_duplicates,
    split_features,
    write_partitions,
)
from clase1_buenas_practicas.etl import main as etl
from shared.datasets import HEART_CSV, load_heart
from shared.errors import DataError, LabError
from shared.outputs import sha256_of


@pytest.fixture(scope="module")
def heart() -> pd.DataFrame:
    return load_heart()


def rows_of(frame: pd.DataFrame) -> set[tuple[str, ...]]:
    return {tuple(map(str, row)) for row in frame.itertuples(index=False, name=None)}


def test_every_patient_is_in_exactly_one_partition(heart: pd.DataFrame):
    split = split_features(heart, test_size=0.2, seed=42)
    train, test = rows_of(split.train), rows_of(split.test)
    assert (len(split.train), len(split.test)) == (242, 61)
    assert train | test == rows_of(heart)
    assert not train & test


def test_both_partitions_keep_the_share_of_sick_patients(heart: pd.DataFrame):
    split = split_features(heart, test_size=0.2, seed=42)
    # 139 de 303 enfermos: con un redondeo de una persona como mucho.
    assert split.train["target"].sum() in {111, 112}
    assert split.test["target"].sum() in {27, 28}


def test_the_split_depends_only_on_the_seed(heart: pd.DataFrame):
    first = split_features(heart, test_size=0.2, seed=1)
    pd.testing.assert_frame_equal(first.test, split_features(heart, test_size=0.2, seed=1).test)
    assert not first.test.equals(split_features(heart, test_size=0.2, seed=2).test)


def test_the_etl_completes_nothing_because_the_model_does(heart: pd.DataFrame):
    split = split_features(heart, test_size=0.2, seed=42)
    assert split.train.isna().sum().sum() + split.test.isna().sum().sum() == 6


def test_repeated_rows_are_counted_and_only_removed_on_request(heart: pd.DataFrame):
    repeated = pd.concat([heart, heart.head(5)], ignore_index=True)
    with pytest.raises(DataError, match=r"5 filas repetidas entre 308.*filas 304, 305, 306.*--drop-duplicates"):
        remove_duplicates(repeated, allow=False)
    pd.testing.assert_frame_equal(remove_duplicates(repeated, allow=True), heart)


@pytest.mark.parametrize(("target", "kept"), [(1, 0), (0, 5)])
def test_a_class_with_too_few_patients_is_refused(heart: pd.DataFrame, target: int, kept: int):
    other = heart[heart["target"] == target]
    few = pd.concat([other, heart[heart["target"] != target].head(kept)])
    with pytest.raises(DataError, match=rf"La clase {1 - target} de `target` tiene {kept} pacientes"):
        split_features(few, test_size=0.2, seed=42)


def test_partitions_come_back_from_disk_as_they_were(heart: pd.DataFrame, tmp_path: Path):
    split = split_features(heart, test_size=0.2, seed=42)
    write_partitions(split, tmp_path / "datos", {"parameters": {}})
    train, fingerprint = read_partition(tmp_path / "datos", "train")
    pd.testing.assert_frame_equal(train, split.train)
    assert fingerprint == sha256_of(tmp_path / "datos" / "train.parquet")


def test_the_record_says_what_went_in_and_what_came_out(tmp_path: Path):
    etl(output=tmp_path)
    record = json.loads((tmp_path / "datos" / "etl.json").read_text(encoding="utf-8"))
    assert record["rows"] == {"read": 303, "train": 242, "test": 61, "duplicates_removed": 0}
    assert record["parameters"] == {"input_sha256": sha256_of(HEART_CSV), "test_size": 0.2, "seed": 42}
    assert len(record["columns"]) == 14
    assert {"python", "pandas", "scikit-learn", "pyarrow"} == set(record["versions"])


def test_duplicates_removed_are_recorded(heart: pd.DataFrame, tmp_path: Path):
    repeated = tmp_path / "repetidos.csv"
    pd.concat([heart, heart.head(5)]).to_csv(repeated, index=False)
    etl(input_csv=repeated, output=tmp_path, drop_duplicates=True)
    record = json.loads((tmp_path / "datos" / "etl.json").read_text(encoding="utf-8"))
    assert record["rows"] == {"read": 308, "train": 242, "test": 61, "duplicates_removed": 5}


def test_bad_input_touches_no_file(tmp_path: Path):
    etl(output=tmp_path)
    before = {path.name: sha256_of(path) for path in (tmp_path / "datos").iterdir()}
    lines = HEART_CSV.read_text(encoding="utf-8").splitlines()
    bad = tmp_path / "malo.csv"
    bad.write_text("\n".join([*lines[:50], lines[50].replace("male", "otro", 1), *lines[51:]]), encoding="utf-8")
    with pytest.raises(DataError, match=r"`malo\.csv` tiene 1 de 303 filas.*fila 50"):
        etl(input_csv=bad, output=tmp_path, force=True)
    assert {path.name: sha256_of(path) for path in (tmp_path / "datos").iterdir()} == before
    with pytest.raises(DataError):
        etl(input_csv=bad, output=tmp_path / "nueva")
    assert not (tmp_path / "nueva").exists()


def test_repeated_rows_are_said_even_if_the_folder_has_another_run(heart: pd.DataFrame, tmp_path: Path):
    etl(output=tmp_path)
    pd.concat([heart, heart.head(10)]).to_csv(tmp_path / "copia.csv", index=False)
    with pytest.raises(DataError, match="Hay 10 filas repetidas entre 313"):
        etl(input_csv=tmp_path / "copia.csv", output=tmp_path)


def test_repeating_a_run_is_fine_and_another_needs_force(tmp_path: Path):
    etl(output=tmp_path)
    etl(output=tmp_path)
    with pytest.raises(LabError, match=r"otra ejecución.*seed: 42 → 7.*--force"):
        etl(output=tmp_path, seed=7)
    etl(output=tmp_path, seed=7, force=True)
    record = json.loads((tmp_path / "datos" / "etl.json").read_text(encoding="utf-8"))
    assert record["parameters"]["seed"] == 7


def test_a_missing_changed_or_truncated_partition_is_refused(heart: pd.DataFrame, tmp_path: Path):
    with pytest.raises(DataError, match=r"No encuentro.*etl\.json.*python clase1_buenas_practicas/etl\.py"):
        read_partition(tmp_path, "train")
    split = split_features(heart, test_size=0.2, seed=42)
    write_partitions(split, tmp_path / "datos", {})
    write_partitions(Split(split.test, split.train), tmp_path / "otros", {})
    (tmp_path / "otros" / "test.parquet").replace(tmp_path / "datos" / "test.parquet")
    with pytest.raises(DataError, match="no es el que anotó"):
        read_partition(tmp_path / "datos", "test")
    train = tmp_path / "datos" / "train.parquet"
    train.write_bytes(train.read_bytes()[:-50])
    with pytest.raises(DataError, match="no es un Parquet entero"):
        read_partition(tmp_path / "datos", "train")
    train.unlink()
    with pytest.raises(DataError, match="No encuentro"):
        read_partition(tmp_path / "datos", "train")
