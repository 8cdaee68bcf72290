"""Los archivos que guarda el servidor: cuáles son, cuánto ocupan y cuáles faltan."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Run, ViewType
from mlflow.exceptions import MlflowException

from clase3_mlflow.experiment import EXPERIMENT, find_searches
from clase3_mlflow.search import FIGURES
from shared.errors import DataError
from shared.registry import MODEL_NAME

MODEL_FILES = ("MLmodel", "model.skops")
ANY = ""
"""También las búsquedas que se cortaron a medias: sus archivos ocupan igual."""


@dataclass(frozen=True)
class StoredFile:
    """Un archivo del almacén, y sus bytes."""

    name: str
    size: int


def list_files(uri: str) -> Iterator[StoredFile]:
    """Los archivos que hay bajo una dirección de MLflow; los que se guardan aquí no tienen subcarpetas."""
    for item in mlflow.artifacts.list_artifacts(artifact_uri=uri):
        yield StoredFile(PurePosixPath(item.path).name, item.file_size or 0)


def model_ids(run: Run) -> list[str]:
    """Los modelos que dejó una ejecución."""
    return [output.model_id for output in run.outputs.model_outputs] if run.outputs else []


def files_of(run: Run) -> dict[str, list[StoredFile]]:
    """Los archivos de una ejecución y los de cada modelo que dejó, por su dirección."""
    uris = [run.info.artifact_uri, *(f"models:/{model_id}" for model_id in model_ids(run))]
    return {uri: list(list_files(uri)) for uri in uris}


def registered_version(client: MlflowClient, run_id: str) -> str | None:
    """La versión registrada que usa el modelo de una ejecución, o None."""
    versions = client.search_model_versions(f"name = '{MODEL_NAME}' and run_id = '{run_id}'")
    return str(versions[0].version) if versions else None


def missing_files(client: MlflowClient, runs: list[Run]) -> list[str]:
    """Lo que el servidor tiene anotado y no está en su almacén, una frase por cada falta."""
    problems = []
    for run in runs:
        expected = {run.info.artifact_uri: FIGURES}
        expected |= {f"models:/{model_id}": MODEL_FILES for model_id in model_ids(run)}
        for uri, names in expected.items():
            present = _names_under(uri)
            problems += [f"{run.info.run_id[:8]}: falta {name} ({uri})" for name in names if name not in present]
    for version in client.search_model_versions(f"name = '{MODEL_NAME}'"):
        if not set(MODEL_FILES) <= _names_under(version.source):
            problems.append(f"{MODEL_NAME}, versión {version.version}: sus archivos ya no están ({version.source})")
    return problems


def _names_under(uri: str) -> set[str]:
    try:
        return {file.name for file in list_files(uri)}
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return set()
        raise


def find_run(client: MlflowClient, prefix: str) -> Run:
    """La búsqueda cuyo identificador empieza así.

    Raises:
        DataError: si no la hay, o hay varias.
    """
    found = [run for run in find_searches(client, ANY) if run.info.run_id.startswith(prefix)]
    if len(found) != 1:
        many = f"{len(found)} búsquedas empiezan" if found else "Ninguna búsqueda empieza"
        raise DataError(f"{many} por «{prefix}».", next_step="Véalas: `python clase3_mlflow/manage_artifacts.py list`")
    return found[0]


def deleted_runs(client: MlflowClient) -> list[Run]:
    """Las ejecuciones marcadas como borradas."""
    experiment = client.get_experiment_by_name(EXPERIMENT)
    if experiment is None:
        return []
    return list(client.search_runs([experiment.experiment_id], run_view_type=ViewType.DELETED_ONLY))
