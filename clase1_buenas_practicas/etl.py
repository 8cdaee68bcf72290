"""Valida los datos crudos y los separa en entrenamiento y prueba.

python clase1_buenas_practicas/etl.py
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import typer
from sklearn.model_selection import train_test_split

from shared.commands import MAX_SEED, run_script
from shared.datasets import HEART_CSV, HEART_SCHEMA, HEART_TARGET, load_heart, read_parquet
from shared.errors import DataError
from shared.models import MIN_PER_CLASS
from shared.outputs import package_versions, read_json, refuse_other_run, replace_folder, sha256_of, write_json
from shared.settings import get_settings

OUTPUTS = get_settings().outputs("clase1_buenas_practicas")
DATA_FOLDER = "datos"
DATA_RECORD = "etl.json"
PARTITIONS = ("train", "test")
RUN_ETL = "Primero ejecute el ETL: `python clase1_buenas_practicas/etl.py`"


@dataclass(frozen=True)
class Split:
    """Las dos particiones, cada una con las 14 columnas de `HEART_SCHEMA`."""

    train: pd.DataFrame
    test: pd.DataFrame


def remove_duplicates(frame: pd.DataFrame, *, allow: bool) -> pd.DataFrame:
    """Devuelve la tabla sin filas repetidas.

    Una fila repetida puede caer a la vez en entrenamiento y en prueba: es una fuga de datos.

    Args:
        frame: (n, 14), una fila por paciente.
        allow: quitar las repetidas; si es falso, encontrarlas es un error.

    Raises:
        DataError: si hay filas repetidas y no se permite quitarlas.
    """
    repeated = frame.duplicated()
    if repeated.any() and not allow:
        rows = ", ".join(str(position + 1) for position in repeated.to_numpy().nonzero()[0][:3])
        raise DataError(
            f"Hay {repeated.sum()} filas repetidas entre {len(frame)}.",
            why=f"Repiten otra anterior; las primeras son las filas {rows}. Caerían en entrenamiento y en prueba.",
            next_step="Quítelas con `--drop-duplicates`.",
        )
    return frame[~repeated].reset_index(drop=True)


def split_features(frame: pd.DataFrame, *, test_size: float, seed: int) -> Split:
    """Separa entrenamiento y prueba con la misma proporción de enfermos en ambas.

    No completa ni escala nada: eso lo aprende el modelo, y solo del entrenamiento.

    Args:
        frame: (n, 14), sin filas repetidas.
        test_size: proporción de prueba, en (0, 1).
        seed: semilla del reparto; la misma semilla da las mismas filas.

    Raises:
        DataError: si en la prueba quedarían menos de `MIN_PER_CLASS` pacientes de alguna clase.
    """
    counts = frame[HEART_TARGET].value_counts().reindex([0, 1], fill_value=0)
    needed = math.ceil(MIN_PER_CLASS / test_size)
    if counts.min() < needed:
        raise DataError(
            f"La clase {counts.idxmin()} de `{HEART_TARGET}` tiene {counts.min()} pacientes.",
            why=f"Hacen falta al menos {needed}, para que queden {MIN_PER_CLASS} en la prueba.",
            next_step="Use un archivo con más pacientes de esa clase.",
        )
    train, test = train_test_split(frame, test_size=test_size, random_state=seed, stratify=frame[HEART_TARGET])
    return Split(train.reset_index(drop=True), test.reset_index(drop=True))


def write_partitions(split: Split, folder: Path, record: Mapping[str, Any]) -> None:
    """Escribe las dos particiones en Parquet y su registro en JSON; o todo, o nada."""
    with replace_folder(folder) as staging:
        for name in PARTITIONS:
            getattr(split, name).to_parquet(staging / f"{name}.parquet", index=False)
        files = {f"{name}.parquet": sha256_of(staging / f"{name}.parquet") for name in PARTITIONS}
        write_json(staging / DATA_RECORD, {**record, "sha256": files})


def read_partition(folder: Path, name: str) -> tuple[pd.DataFrame, str]:
    """Lee una partición y la huella que el ETL le anotó.

    Args:
        folder: carpeta que escribió `write_partitions`.
        name: `train` o `test`.

    Returns:
        La tabla (n, 14) y el SHA-256 de su archivo.

    Raises:
        DataError: si falta, está dañada o no es la que el ETL escribió.
    """
    file = folder / f"{name}.parquet"
    record = read_json(folder / DATA_RECORD, next_step=RUN_ETL)
    frame = read_parquet(file, HEART_SCHEMA, next_step=RUN_ETL)
    fingerprint = sha256_of(file)
    if record.get("sha256", {}).get(file.name) != fingerprint:
        raise DataError(f"`{file}` no es el que anotó `{DATA_RECORD}`.", why="Se cambió después.", next_step=RUN_ETL)
    return frame, fingerprint


def main(
    input_csv: Annotated[Path, typer.Option("--input", help="CSV de pacientes.", show_default="heart.csv")] = HEART_CSV,
    output: Annotated[
        Path, typer.Option(help="Carpeta de la ejecución; escribe en su «datos».", show_default="salidas")
    ] = OUTPUTS,
    test_size: Annotated[float, typer.Option(min=0.1, max=0.5, help="Proporción de prueba.")] = 0.2,
    seed: Annotated[int, typer.Option(min=0, max=MAX_SEED, help="Semilla del reparto.")] = 42,
    drop_duplicates: Annotated[bool, typer.Option("--drop-duplicates", help="Quitar las filas repetidas.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Sustituir los datos de otra ejecución.")] = False,
) -> None:
    """Valida los datos crudos y los separa en entrenamiento y prueba."""
    raw = load_heart(input_csv)
    patients = remove_duplicates(raw, allow=drop_duplicates)
    parameters = {"input_sha256": sha256_of(input_csv), "test_size": test_size, "seed": seed}
    refuse_other_run(output / DATA_FOLDER, DATA_RECORD, parameters, force=force)
    split = split_features(patients, test_size=test_size, seed=seed)
    rows = {"read": len(raw), "train": len(split.train), "test": len(split.test)}
    rows["duplicates_removed"] = rows["read"] - rows["train"] - rows["test"]
    versions = package_versions("pandas", "scikit-learn", "pyarrow")
    record = {"parameters": parameters, "rows": rows, "columns": list(raw.columns), "versions": versions}
    write_partitions(split, output / DATA_FOLDER, {"input": input_csv.name, **record})
    typer.echo(f"{rows['read']} pacientes → {rows['train']} de entrenamiento y {rows['test']} de prueba")
    typer.echo(f"Escrito en {output / DATA_FOLDER}")


if __name__ == "__main__":
    run_script(main)
