"""Los pasos que registran un modelo, sin Airflow: decidir, anotarlo en MLflow y promoverlo."""

from __future__ import annotations

from typing import Any

import mlflow
from sklearn.pipeline import Pipeline

from clase4_airflow.storage import Storage
from clase4_airflow.training_steps import FOLDS, QUALITY, read_part
from shared.datasets import HEART_TARGET
from shared.models import load_model
from shared.outputs import git_commit, package_versions
from shared.registry import (
    CHALLENGER,
    CHAMPION,
    MODEL_NAME,
    Cases,
    compare,
    connect,
    log_classifier,
    promote,
    register_version,
    version_with_alias,
)

EXPERIMENT = "heart-airflow"
PACKAGES = ("mlflow", "scikit-learn", "skops", "pandas", "numpy")


def why_not(
    result: dict[str, Any], storage: Storage, url: str, *, floor: float, margin: float, seed: int
) -> str | None:
    """El motivo para no registrar un modelo, o None si hay que registrarlo.

    Args:
        result: lo que devolvió `fit_best`.
        storage: almacén de objetos.
        url: servidor de MLflow.
        floor: F1 mínimo en validación cruzada.
        margin: F1 que debe ganar al campeón.
        seed: semilla de las particiones con que se comparan.
    """
    if result["cv_f1"] < floor:
        return f"F1 {result['cv_f1']:.4f} en validación cruzada, y el mínimo es {floor}"
    X, y = read_part(storage, result["data"], "train")
    champion = version_with_alias(connect(url), CHAMPION)
    decision = compare(result["cv_f1"], champion, Cases(X, y, FOLDS, seed), margin=margin)
    return None if decision.promoted else decision.reason


def register(result: dict[str, Any], storage: Storage, url: str, *, run_key: str, margin: float, seed: int) -> str:
    """Registra el modelo en MLflow como versión nueva, y lo promueve si sigue superando al campeón.

    Si se repite con la misma `run_key`, no registra nada otra vez.

    Returns:
        Qué se decidió, en una frase.
    """
    client = connect(url)
    mlflow.set_experiment(EXPERIMENT)
    with storage.local_copy(result["model"]) as path:
        model = load_model(path, next_step="Repita el entrenamiento.")
    run = find_run(run_key) or log_run(result, model, storage, run_key=run_key, seed=seed)
    version = register_version(client, client.get_run(run))
    client.set_registered_model_alias(MODEL_NAME, CHALLENGER, version.version)
    X, y = read_part(storage, result["data"], "train")
    decision = promote(client, version, Cases(X, y, FOLDS, seed), margin=margin)
    outcome = "promovida a champion" if decision.promoted else "queda como challenger"
    return f"{MODEL_NAME}, versión {version.version}: {outcome}; {decision.reason}."


def find_run(run_key: str) -> str | None:
    """La ejecución de MLflow que ya dejó esta ejecución de Airflow, o None."""
    found = mlflow.search_runs(
        experiment_names=[EXPERIMENT],
        filter_string=f"tags.airflow_run = '{run_key}' and attributes.status = 'FINISHED'",
    )
    return None if found.empty else str(found.iloc[0]["run_id"])


def log_run(result: dict[str, Any], model: Pipeline, storage: Storage, *, run_key: str, seed: int) -> str:
    """Anota en MLflow el modelo, sus métricas y los datos de los que salió; devuelve el identificador."""
    X, y = read_part(storage, result["data"], "train")
    quality = storage.read_json(f"{result['data']}/{QUALITY}")
    versions = package_versions(*PACKAGES)
    tags = {
        "family": "svm",
        "airflow_run": run_key,
        "git_commit": git_commit(),
        "data_sha256": quality["sha256"]["train"],
    }
    source = storage.address(f"{result['data']}/train.parquet")
    with mlflow.start_run(run_name=run_key, tags=tags) as run:
        mlflow.log_params({name.rsplit("__")[-1]: value for name, value in result["params"].items()})
        mlflow.log_params({"folds": FOLDS, "seed": seed})
        train = X.assign(**{HEART_TARGET: y.astype("float32")})
        dataset = mlflow.data.from_pandas(train, source=source, name="heart-etl", targets=HEART_TARGET)
        mlflow.log_input(dataset, context="training")
        model_id = log_classifier(model, X, versions=versions)
        test = {f"test_{name}": values["value"] for name, values in result["test"].items()}
        mlflow.log_metrics({"cv_f1": result["cv_f1"], **test}, model_id=model_id)
    return str(run.info.run_id)
