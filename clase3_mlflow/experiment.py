"""Lo que comparten los programas de la clase: el servidor, el experimento, los datos y sus errores."""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pandas as pd
import psutil
import requests
from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.exceptions import MlflowException
from sklearn.model_selection import train_test_split

from shared.datasets import HEART_TARGET, encode_heart, load_heart
from shared.errors import ServiceError
from shared.registry import connect
from shared.services import mlflow as mlflow_service
from shared.settings import get_settings

EXPERIMENT = "heart"
OUTPUTS = get_settings().outputs("clase3_mlflow")
TEST_SIZE = 0.2
PROCESS_TAG = "labs.process"
SERVER_ERRORS = (MlflowException, requests.RequestException)
"""Lo que lanza MLflow cuando el servidor no contesta, o contesta que no: por su API y al pasar archivos."""
TRACK = "Primero registre experimentos: `python clase3_mlflow/track_experiments.py`"


@dataclass(frozen=True)
class Split:
    """Predictores, (n, 13) float32, y objetivo, (n,), de entrenamiento y de prueba."""

    X_train: pd.DataFrame
    X_test: pd.DataFrame
    y_train: pd.Series
    y_test: pd.Series


def split_heart(*, seed: int) -> Split:
    """Los 303 pacientes, separados con la misma proporción de enfermos en las dos partes."""
    heart = load_heart()
    parts = train_test_split(
        encode_heart(heart), heart[HEART_TARGET], test_size=TEST_SIZE, random_state=seed, stratify=heart[HEART_TARGET]
    )
    return Split(*parts)


@contextmanager
def tracking() -> Iterator[MlflowClient]:
    """Da un cliente del servidor de `MLFLOW_TRACKING_URI` o, si no hay, del embebido, que arranca.

    Raises:
        ServiceError: si no responde, o si deja de responder dentro del bloque.
    """
    logging.getLogger("mlflow").setLevel(logging.ERROR)
    with mlflow_service.running() as endpoint:
        try:
            yield connect(endpoint.url)
        except SERVER_ERRORS as error:
            reason = str(error).splitlines()[0]
            raise ServiceError(
                "El servidor de MLflow no pudo hacer lo que se le pidió.",
                why=f"{reason[:300]}.",
                next_step=f"Compruebe que sigue en {endpoint.url} y que le queda disco.",
            ) from error


def finished_searches(client: MlflowClient, *, family: str | None = None) -> list[Run]:
    """Búsquedas terminadas de todas las familias, o de una; primero la de mejor F1 en validación cruzada.

    Raises:
        ServiceError: si el experimento no existe o no tiene ninguna.
    """
    experiment = client.get_experiment_by_name(EXPERIMENT)
    wanted = f"tags.family = '{family}'" if family else "tags.family != ''"
    runs = (
        client.search_runs(
            [experiment.experiment_id],
            f"{wanted} and attributes.status = 'FINISHED'",
            order_by=["metrics.cv_f1 DESC", "attributes.start_time ASC"],
        )
        if experiment
        else []
    )
    if not runs:
        raise ServiceError(
            f"En el experimento «{EXPERIMENT}» no hay ninguna búsqueda terminada{f' de {family}' if family else ''}.",
            next_step=TRACK,
        )
    return list(runs)


def this_process() -> str:
    """Identifica este proceso: máquina, número y cuándo empezó, porque los números se repiten."""
    return _process_mark(psutil.Process())


def _process_mark(process: psutil.Process) -> str:
    return f"{socket.gethostname()}:{process.pid}:{process.create_time():.0f}"


def end_dead_runs(client: MlflowClient) -> list[str]:
    """Marca como KILLED las ejecuciones que dejó a medias un proceso de esta máquina que ya no existe.

    MLflow no puede saberlo: para él siguen en marcha. Las de otras máquinas no se tocan.

    Returns:
        Los identificadores de las que cambiaron.
    """
    experiment = client.get_experiment_by_name(EXPERIMENT)
    if experiment is None:
        return []
    running = client.search_runs([experiment.experiment_id], "attributes.status = 'RUNNING'")
    alive = {_process_mark(process) for process in psutil.process_iter()}
    host = f"{socket.gethostname()}:"
    dead = [
        run.info.run_id
        for run in running
        if (mark := run.data.tags.get(PROCESS_TAG, "")).startswith(host) and mark not in alive
    ]
    for run_id in dead:
        client.set_terminated(run_id, "KILLED")
    return dead
