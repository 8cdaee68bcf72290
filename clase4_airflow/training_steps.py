"""Los pasos del entrenamiento, sin Airflow: elegir los datos, buscar y evaluar. Después, `registration_steps.py`."""

from __future__ import annotations

import tempfile
import warnings
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd
from sklearn.model_selection import ParameterGrid

from clase4_airflow.storage import Storage
from shared.datasets import HEART_FEATURES, HEART_TARGET
from shared.errors import DataError
from shared.models import HEART_SVM_GRID, evaluate_classifier, heart_svm, save_model
from shared.registry import Cases

with warnings.catch_warnings():
    # Al importarse, skops pregunta a todos los módulos cargados por sus nombres, y los de Airflow avisan mil veces.
    warnings.simplefilter("ignore")
    import skops.io  # noqa: F401

FOLDS = 5
MIN_ROWS = 150
"""Con menos pacientes no se entrena: las particiones quedarían con una docena de cada clase."""
QUALITY = "quality.json"


def latest_data(storage: Storage) -> str:
    """El prefijo de los últimos datos que dejó un ETL.

    Raises:
        DataError: si no hay ninguno.
    """
    reports = [item for item in storage.list_objects("etl/") if item["Key"].endswith(f"/{QUALITY}")]
    if not reports:
        raise DataError(
            "Ningún ETL ha dejado datos.", next_step="Ejecute uno: `airflow dags test etl_process_taskflow`"
        )
    newest = max(reports, key=lambda item: (item["LastModified"], item["Key"]))
    return str(newest["Key"]).removesuffix(f"/{QUALITY}")


def has_enough_rows(storage: Storage, prefix: str) -> bool:
    """Si los datos de una ejecución del ETL bastan para entrenar."""
    return bool(storage.read_json(f"{prefix}/{QUALITY}")["rows"]["accepted"] >= MIN_ROWS)


def list_candidates() -> list[dict[str, Any]]:
    """Las combinaciones de hiperparámetros que se prueban, una por tarea."""
    return list(ParameterGrid(HEART_SVM_GRID))


def read_part(storage: Storage, prefix: str, name: str) -> tuple[pd.DataFrame, pd.Series]:
    """Predictores, (n, 13) float32, y objetivo, (n,), de `train` o de `test`."""
    table = storage.read_table(f"{prefix}/{name}.parquet")
    return table[list(HEART_FEATURES)], table[HEART_TARGET]


def score_candidate(storage: Storage, prefix: str, params: dict[str, Any], *, seed: int) -> dict[str, Any]:
    """F1 medio de una combinación en validación cruzada."""
    X, y = read_part(storage, prefix, "train")
    return {"params": params, "cv_f1": Cases(X, y, FOLDS, seed).mean_f1(heart_svm().set_params(**params))}


def fit_best(storage: Storage, prefix: str, scores: list[dict[str, Any]], output: str, *, seed: int) -> dict[str, Any]:
    """Entrena la mejor combinación con todo el entrenamiento y la mide en la prueba, que no elige nada.

    Args:
        storage: almacén de objetos.
        prefix: de dónde lee los datos.
        scores: lo que devolvió `score_candidate` de cada combinación.
        output: prefijo donde escribe el modelo y sus métricas.
        seed: semilla de los intervalos.

    Returns:
        La clave `model`, los datos de los que salió, sus parámetros, su F1 en validación cruzada y en prueba.
    """
    best = max(scores, key=lambda score: score["cv_f1"])
    X, y = read_part(storage, prefix, "train")
    X_test, y_test = read_part(storage, prefix, "test")
    model = heart_svm().set_params(**best["params"]).fit(X, y)
    metrics = evaluate_classifier(y_test, model.predict(X_test), model.predict_proba(X_test)[:, 1], seed=seed)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.skops"
        save_model(model, path)
        key = storage.write(f"{output}/model.skops", path.read_bytes())
    result = {**best, "model": key, "data": prefix, "test": {name: asdict(metrics[name]) for name in ("f1", "roc_auc")}}
    storage.write_json(f"{output}/metrics.json", result)
    return result
