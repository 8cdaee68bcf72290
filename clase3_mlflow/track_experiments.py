"""Busca los mejores hiperparámetros de cuatro familias de modelos y lo registra todo en MLflow.

python clase3_mlflow/track_experiments.py
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated, Any

import mlflow
import typer
from filelock import FileLock
from mlflow import MlflowClient

from clase3_mlflow.experiment import (
    EXPERIMENT,
    FINISHED,
    PROCESS_TAG,
    SERVER_ERRORS,
    end_dead_runs,
    split_heart,
    this_process,
    tracking,
)
from clase3_mlflow.families import TRUSTED_TYPES, build_families
from clase3_mlflow.search import FIGURES, MODEL, PENDING, RECORD, pending_results, save_results
from shared.commands import run_script
from shared.datasets import HEART_TARGET
from shared.errors import ServiceError
from shared.models import load_model
from shared.outputs import read_json
from shared.registry import log_classifier

DATA_SOURCE = "https://archive.ics.uci.edu/dataset/45/heart+disease"
RESUME = "Cuando se arregle, regístrelos sin calcular de nuevo: `python clase3_mlflow/track_experiments.py --resume`"


def log_results(folder: Path) -> str:
    """Registra los resultados de una carpeta: una ejecución por familia y, dentro, una por combinación.

    Returns:
        El identificador de la ejecución.
    """
    record = read_json(folder / RECORD, next_step="Borre esa carpeta.")
    best = record["candidates"][record["best"]]
    tags = {name: record[name] for name in ("family", "title", "git_commit", "data_sha256")}
    tags |= {f"version.{name}": version for name, version in record["versions"].items()}
    with mlflow.start_run(run_name=record["family"], tags={**tags, "result": folder.name} | process_tag()) as run:
        mlflow.log_params({**best["params"], "folds": record["folds"], "seed": record["seed"]})
        mlflow.log_metrics({**best["metrics"], "search_seconds": record["search_seconds"]})
        log_candidates(record["candidates"])
        log_data(record["seed"])
        for figure in FIGURES:
            mlflow.log_artifact(str(folder / figure))
        model = load_model(folder / MODEL, next_step="Borre esa carpeta.", trusted=TRUSTED_TYPES)
        features = split_heart(seed=record["seed"]).X_train
        model_id = log_classifier(model, features, versions=record["versions"], trusted=TRUSTED_TYPES)
        # Unidas al modelo, las métricas de prueba se ven también en su página.
        mlflow.log_metrics(test_metrics(record["test"]), model_id=model_id)
    return str(run.info.run_id)


def process_tag() -> dict[str, str]:
    """Con ella, el próximo arranque sabe si quien registraba sigue vivo."""
    return {PROCESS_TAG: this_process()}


def log_candidates(candidates: list[dict[str, Any]]) -> None:
    """Una ejecución anidada por combinación de la rejilla."""
    for number, candidate in enumerate(candidates, start=1):
        with mlflow.start_run(run_name=f"combinación {number}", nested=True, tags=process_tag()):
            mlflow.log_params(candidate["params"])
            mlflow.log_metrics(candidate["metrics"])


def log_data(seed: int) -> None:
    """Los datos de entrenamiento: de dónde salen, su esquema y su huella; no los datos mismos."""
    split = split_heart(seed=seed)
    train = split.X_train.assign(**{HEART_TARGET: split.y_train.astype("float32")})
    dataset = mlflow.data.from_pandas(train, source=DATA_SOURCE, name="heart-cleveland", targets=HEART_TARGET)
    mlflow.log_input(dataset, context="training")


def test_metrics(test: dict[str, dict[str, float]]) -> dict[str, float]:
    """`test_f1`, `test_f1_low`, `test_f1_high`… a partir de cada intervalo."""
    suffixes = {"value": "", "low": "_low", "high": "_high"}
    return {f"test_{name}{suffixes[end]}": value for name, ends in test.items() for end, value in ends.items()}


def log_pending(client: MlflowClient) -> None:
    """Registra lo que espere en `pendientes`, y borra cada carpeta cuando ya está en el servidor.

    Raises:
        ServiceError: si el servidor falla; lo que falte sigue en su carpeta.
    """
    experiment = mlflow.set_experiment(EXPERIMENT)
    PENDING.mkdir(parents=True, exist_ok=True)
    # Dos programas a la vez registrarían lo mismo dos veces: el segundo espera, y sigue con lo que quede.
    with FileLock(PENDING.with_suffix(".lock")):
        for folder in pending_results():
            if not client.search_runs([experiment.experiment_id], f"tags.result = '{folder.name}' and {FINISHED}"):
                run_id = log_results(folder)
                typer.echo(f"  registrado {folder.name.partition('-')[2]:<9} ejecución {run_id[:8]}")
            shutil.rmtree(folder)


def compute(*, folds: int, seed: int) -> None:
    """Calcula las cuatro familias; cada una queda en disco antes de empezar la siguiente."""
    split = split_heart(seed=seed)
    families = build_families(seed=seed)
    for number, family in enumerate(families.values(), start=1):
        typer.echo(f"[{number}/{len(families)}] {family.title}…")
        save_results(family, split, folds=folds, seed=seed)


def main(
    folds: Annotated[int, typer.Option(min=2, max=10, help="Particiones de la validación cruzada.")] = 5,
    seed: Annotated[int, typer.Option(min=0, help="Semilla de la separación y de las particiones.")] = 42,
    resume: Annotated[bool, typer.Option("--resume", help="Solo registra lo que quedó calculado y pendiente.")] = False,
) -> None:
    """Busca los mejores hiperparámetros de cuatro familias de modelos y lo registra todo en MLflow."""
    with tracking() as client:
        for run_id in end_dead_runs(client):
            typer.echo(f"La ejecución {run_id[:8]} quedó a medias: se marca como KILLED.")
        if not resume:
            compute(folds=folds, seed=seed)
        elif not pending_results():
            typer.echo("No hay nada pendiente.")
        try:
            log_pending(client)
        except SERVER_ERRORS as error:
            what = f"Resultados calculados y sin registrar: {len(pending_results())}."
            raise ServiceError(what, why=str(error).splitlines()[0], next_step=RESUME) from error
    typer.echo("Véalo en la interfaz: `./labs services mlflow`, o la del servidor que use.")


if __name__ == "__main__":
    run_script(main)
