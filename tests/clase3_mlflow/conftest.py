"""Un servidor de MLflow de verdad para las pruebas de la clase, con lo que registran sus programas."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import mlflow
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from clase3_mlflow import register_model, search, track_experiments
from clase3_mlflow.experiment import EXPERIMENT
from shared.registry import CLIENT_SETTINGS, MODEL_NAME
from shared.services import mlflow as mlflow_service

SEED = 42
FOLDS = 5


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """Dirección del servidor embebido de esta sesión."""
    with pytest.MonkeyPatch.context() as patch, mlflow_service.running() as endpoint:
        for name, value in {**CLIENT_SETTINGS, "MLFLOW_TRACKING_URI": endpoint.url}.items():
            patch.setenv(name, value)
        mlflow.set_tracking_uri(endpoint.url)
        yield endpoint.url


def empty_server(url: str) -> MlflowClient:
    """Deja un servidor sin experimento ni modelo registrado, y el disco sin nada pendiente."""
    mlflow.set_tracking_uri(url)
    client = MlflowClient()
    if experiment := client.get_experiment_by_name(EXPERIMENT):
        # El nombre de un experimento borrado sigue ocupado.
        client.rename_experiment(experiment.experiment_id, f"anterior-{secrets.token_hex(4)}")
        client.delete_experiment(experiment.experiment_id)
    for model in client.search_registered_models():
        client.delete_registered_model(model.name)
    shutil.rmtree(search.PENDING, ignore_errors=True)
    return client


def log_results(url: str, results: Path) -> MlflowClient:
    """Deja un servidor solo con las cuatro búsquedas ya calculadas."""
    client = empty_server(url)
    shutil.copytree(results, search.PENDING)
    track_experiments.log_pending(client)
    return client


def run_of_family(client: MlflowClient, family: str) -> Run:
    """La búsqueda registrada de una familia."""
    experiment = client.get_experiment_by_name(EXPERIMENT)
    [run] = client.search_runs([experiment.experiment_id], f"tags.family = '{family}'")
    return run


def runs_of(client: MlflowClient) -> list[Run]:
    """Todas las ejecuciones del experimento, con las anidadas."""
    experiment = client.get_experiment_by_name(EXPERIMENT)
    return list(client.search_runs([experiment.experiment_id])) if experiment else []


def parents(client: MlflowClient) -> list[Run]:
    """Las búsquedas: las ejecuciones que no están dentro de otra."""
    return [run for run in runs_of(client) if "mlflow.parentRunId" not in run.data.tags]


@pytest.fixture
def client(server: str) -> MlflowClient:
    """Cliente de un servidor vacío."""
    return empty_server(server)


@pytest.fixture(scope="session")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Lo que deja en disco el cálculo de las cuatro familias, antes de registrarlo."""
    folder = tmp_path_factory.mktemp("resultados") / "pendientes"
    shutil.rmtree(search.PENDING, ignore_errors=True)
    track_experiments.compute(folds=FOLDS, seed=SEED)
    shutil.move(search.PENDING, folder)
    return folder


@pytest.fixture
def pending(client: MlflowClient, results: Path) -> Path:  # noqa: ARG001
    """La carpeta de pendientes, con las cuatro familias ya calculadas."""
    shutil.copytree(results, search.PENDING)
    return search.PENDING


@pytest.fixture
def tracked(server: str, results: Path) -> MlflowClient:
    """Cliente de un servidor con las cuatro búsquedas registradas."""
    return log_results(server, results)


@pytest.fixture
def run_of(tracked: MlflowClient) -> Callable[[str], Run]:
    """Da la búsqueda registrada de una familia."""
    return partial(run_of_family, tracked)


@pytest.fixture
def champion(tracked: MlflowClient) -> MlflowClient:
    """Cliente de un servidor con el mejor SVM registrado y promovido."""
    register_model.main()
    assert tracked.get_model_version_by_alias(MODEL_NAME, "champion").version == "1"
    return tracked
