"""Los pasos del ETL, sin Airflow, contra un S3 de verdad."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from clase4_airflow import etl_quality, etl_steps
from clase4_airflow.storage import Storage
from clase4_airflow.upload_data import SOURCE
from shared.datasets import HEART_FEATURES, HEART_TARGET, load_heart
from shared.errors import DataError, ServiceError
from shared.services.base import Endpoint
from tests.faults import link_to

PREFIX = "etl/prueba/una"
Edit = Callable[[pd.DataFrame], pd.DataFrame]


def source_table(storage: Storage) -> pd.DataFrame:
    return pd.read_csv(io.BytesIO(storage.read(SOURCE)))


def replace_source(storage: Storage, frame: pd.DataFrame) -> None:
    storage.write(SOURCE, frame.to_csv(index=False).encode())


def validated(storage: Storage, *, max_bad_share: float = 0.1) -> dict:
    extracted = etl_steps.extract(storage, SOURCE, PREFIX)
    return etl_quality.validate(storage, extracted, PREFIX, max_bad_share=max_bad_share)


def run_all(storage: Storage, prefix: str = PREFIX) -> dict:
    extracted = etl_steps.extract(storage, SOURCE, prefix)
    validation = etl_quality.validate(storage, extracted, prefix, max_bad_share=0.1)
    encoded = etl_steps.encode(storage, etl_steps.clean(storage, validation["valid"], prefix), prefix)
    parts = etl_steps.split(storage, encoded, prefix, test_size=0.2, seed=42)
    outputs = parts | etl_steps.scale(storage, parts, prefix)
    return storage.read_json(etl_quality.report_quality(storage, prefix, validation=validation, outputs=outputs))


def test_the_real_patients_all_arrive_with_their_values(storage: Storage):
    quality = run_all(storage)
    assert quality["rows"]["read"] == quality["rows"]["accepted"] == 303
    assert quality["rows"]["train"] + quality["rows"]["test"] == 303
    assert quality["rows"]["quarantined"] == 0
    train, test = (storage.read_table(quality["outputs"][name]) for name in ("train", "test"))
    together = pd.concat([train, test]).sort_values(list(train.columns), ignore_index=True)
    heart = load_heart()
    # La suma no depende del orden, y no cuenta con la función que codifica.
    for name in ("age", "chol", "oldpeak", HEART_TARGET):
        assert together[name].sum() == pytest.approx(heart[name].sum(), rel=1e-5)
    assert together["ca"].isna().sum() == 4
    assert together["thal"].isna().sum() == 2
    assert abs(train[HEART_TARGET].mean() - test[HEART_TARGET].mean()) < 0.02


def test_scaling_learns_only_from_the_training_part(storage: Storage):
    """Lo mismo, hecho aparte con scikit-learn: medias y desviaciones del entrenamiento, también en la prueba."""
    quality = run_all(storage)
    tables = {name: storage.read_table(key) for name, key in quality["outputs"].items()}
    numeric = ["age", "trestbps", "chol", "fbs", "thalach", "exang", "oldpeak", "ca"]
    reference = ColumnTransformer(
        [
            ("n", make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), numeric),
            (
                "c",
                make_pipeline(
                    SimpleImputer(strategy="most_frequent"),
                    OneHotEncoder(categories=[[0, 1], [0, 1, 2, 3], [0, 1, 2], [0, 1, 2], [0, 1, 2]]),
                ),
                ["sex", "cp", "restecg", "slope", "thal"],
            ),
        ]
    ).fit(tables["train"][list(HEART_FEATURES)])
    for name in ("train", "test"):
        expected = reference.transform(tables[name][list(HEART_FEATURES)])
        scaled = tables[f"{name}_scaled"].drop(columns=HEART_TARGET)
        np.testing.assert_allclose(scaled.to_numpy(), expected, atol=1e-5)
        assert list(tables[f"{name}_scaled"][HEART_TARGET]) == list(tables[name][HEART_TARGET])


def test_two_runs_of_the_same_data_write_the_same_bytes_in_different_places(storage: Storage):
    first, second = run_all(storage, "etl/a/1"), run_all(storage, "etl/b/2")
    assert first["sha256"] == second["sha256"]
    assert set(first["outputs"].values()).isdisjoint(second["outputs"].values())


def test_repeating_a_step_leaves_what_there_was(storage: Storage):
    def state() -> dict[str, str]:
        return {item["Key"]: item["ETag"] for item in storage.list_objects(PREFIX)}

    run_all(storage)
    before = state()
    run_all(storage)
    assert state() == before


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("age", "mucha", "age: no es un número"),
        ("age", 200, "age: fuera de 18 a 110 años"),
        ("age", None, "age: falta el valor"),
        ("fbs", 0.5, "fbs: no es un entero"),
        ("sex", "otro", "sex: no es una de: female, male"),
        ("target", 2, "target: fuera de 0 a 1"),
    ],
)
def test_a_bad_row_is_quarantined_with_its_reason_and_its_place(
    storage: Storage, column: str, value: object, reason: str
):
    frame = source_table(storage).astype(object)
    frame.loc[9, column] = value
    replace_source(storage, frame)
    validation = validated(storage)
    assert (validation["read"], validation["accepted"], validation["quarantined"]) == (303, 302, 1)
    [row] = storage.read_table(validation["quarantine"]).to_dict("records")
    assert (row["row"], row["reasons"]) == ("10", reason)
    assert 10 not in set(storage.read_table(validation["valid"])["row"])
    quality = run_all(storage)
    assert quality["reasons"] == {reason: 1}
    assert quality["rows"]["train"] + quality["rows"]["test"] == 302


def test_a_row_with_two_problems_counts_once_and_says_both(storage: Storage):
    frame = source_table(storage).astype(object)
    frame.loc[0, ["age", "chol"]] = ["x", -5]
    replace_source(storage, frame)
    validation = validated(storage)
    assert validation["quarantined"] == 1
    [row] = storage.read_table(validation["quarantine"]).to_dict("records")
    assert row["reasons"] == "age: no es un número; chol: fuera de 80 a 700 mg/dl"


def test_a_repeated_row_is_quarantined_once(storage: Storage):
    frame = source_table(storage)
    replace_source(storage, pd.concat([frame, frame.iloc[[4, 4]]]))
    validation = validated(storage)
    assert (validation["read"], validation["accepted"]) == (305, 303)
    assert set(storage.read_table(validation["quarantine"])["row"]) == {"304", "305"}


def test_too_many_bad_rows_stop_the_etl_and_leave_the_quarantine(storage: Storage):
    frame = source_table(storage).astype(object)
    frame.loc[:39, "age"] = "x"
    replace_source(storage, frame)
    with pytest.raises(DataError, match=r"40 de 303 filas no valen: el 13%, y se tolera el 10%.*fila 1: age"):
        validated(storage)
    assert len(storage.read_table(f"{PREFIX}/quarantine.parquet")) == 40
    assert validated(storage, max_bad_share=0.2)["accepted"] == 263


@pytest.mark.parametrize("content", ["", "age,sex\n", "a;b\n1;2\n"])
def test_a_file_that_is_not_the_table_is_explained(storage: Storage, content: str):
    storage.write(SOURCE, content.encode())
    with pytest.raises(DataError, match=r"heart\.csv"):
        etl_steps.extract(storage, SOURCE, PREFIX)
    assert storage.list_objects(PREFIX) == []


def test_only_the_header_is_explained(storage: Storage):
    replace_source(storage, source_table(storage).head(0))
    with pytest.raises(DataError, match="solo tiene el encabezado"):
        validated(storage)


def test_too_few_patients_of_a_class_are_explained(storage: Storage):
    frame = source_table(storage)
    replace_source(storage, pd.concat([frame[frame["target"] == 0], frame[frame["target"] == 1].head(20)]))
    with pytest.raises(DataError, match="quedarían 4 pacientes de una clase"):
        run_all(storage)


def test_a_missing_object_says_how_to_upload_it(storage: Storage):
    storage.delete(SOURCE)
    with pytest.raises(DataError, match=r"No encuentro `s3://mlops/datos/heart.csv`.*upload_data.py"):
        etl_steps.extract(storage, SOURCE, PREFIX)


def test_lost_rows_are_noticed(storage: Storage):
    validation = validated(storage)
    encoded = etl_steps.encode(storage, etl_steps.clean(storage, validation["valid"], PREFIX), PREFIX)
    storage.write_table(encoded, storage.read_table(encoded).iloc[1:])
    parts = etl_steps.split(storage, encoded, PREFIX, test_size=0.2, seed=42)
    outputs = parts | etl_steps.scale(storage, parts, PREFIX)
    with pytest.raises(DataError, match="Entraron 303 filas y salieron 302"):
        etl_quality.report_quality(storage, PREFIX, validation=validation, outputs=outputs)
    assert f"{PREFIX}/quality.json" not in {item["Key"] for item in storage.list_objects(PREFIX)}


def test_a_storage_that_stops_answering_is_not_called_bad_data(storage: Storage, s3: Endpoint):
    from clase4_airflow.upload_data import make_storage

    with link_to(s3.url) as link:
        far = make_storage(Endpoint("s3", link.url, s3.environment))
        extracted = etl_steps.extract(far, SOURCE, PREFIX)
        link.cut()
        with pytest.raises(ServiceError, match="no responde"):
            etl_quality.validate(far, extracted, PREFIX, max_bad_share=0.1)
    assert {item["Key"] for item in storage.list_objects(PREFIX)} == {extracted}
