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
SEARCHES = "tags.family != ''"
"""Las búsquedas llevan esa etiqueta; las combinaciones anidadas en ellas, no."""
FINISHED = "attributes.status = 'FINISHED'"
"""Las que se cortaron a medias no se comparan ni se registran."""
PROCESS_TAG = "labs.process"
CLOCK_SECONDS = 60
"""Lo que puede cambiar la hora de arranque de un proceso si se ajusta el reloj de la máquina."""
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
            reason = str(error).splitlines()[0].rstrip(".")
            raise ServiceError(
                "El servidor de MLflow no pudo hacer lo que se le pidió.",
                why=f"{reason[:300]}.",
                next_step=f"Compruebe que sigue en {endpoint.url} y que le queda disco.",
            ) from error


def find_experiment(client: MlflowClient) -> str | None:
    """El identificador del experimento, o None si no existe.

    Raises:
        ServiceError: si está borrado: su nombre sigue ocupado.
    """
    experiment = client.get_experiment_by_name(EXPERIMENT)
    if experiment and experiment.lifecycle_stage != "active":
        raise ServiceError(
            f"El experimento «{EXPERIMENT}» está borrado en el servidor, y su nombre sigue ocupado.",
            next_step=f"Recupérelo: `mlflow experiments restore --experiment-id {experiment.experiment_id}`",
        )
    return str(experiment.experiment_id) if experiment else None


def find_searches(client: MlflowClient, condition: str = FINISHED) -> list[Run]:
    """Las búsquedas que cumplen una condición de MLflow; primero la de mejor F1 en validación cruzada.

    Raises:
        ServiceError: si el experimento está borrado, o no hay ninguna.
    """
    experiment = find_experiment(client)
    query = " and ".join(part for part in (SEARCHES, condition) if part)
    order = ["metrics.cv_f1 DESC", "attributes.start_time ASC"]
    runs = client.search_runs([experiment], query, order_by=order) if experiment else []
    if not runs:
        wanted = f" en la que `{condition}`" if condition else ""
        raise ServiceError(f"En el experimento «{EXPERIMENT}» no hay ninguna búsqueda{wanted}.", next_step=TRACK)
    return list(runs)


def this_process() -> str:
    """Identifica este proceso: máquina, número y cuándo empezó, porque los números se repiten."""
    process = psutil.Process()
    return f"{socket.gethostname()}:{process.pid}:{process.create_time():.0f}"


def is_dead(mark: str) -> bool:
    """Si la marca de `this_process` es de un proceso de esta máquina que ya no existe."""
    host, pid, start = mark.rsplit(":", 2) if mark.count(":") >= 2 else ("", "", "")
    if host != socket.gethostname():
        return False
    try:
        return abs(psutil.Process(int(pid)).create_time() - float(start)) > CLOCK_SECONDS
    except psutil.NoSuchProcess:
        return True


def end_dead_runs(client: MlflowClient) -> list[str]:
    """Marca como KILLED las ejecuciones que dejó a medias un proceso de esta máquina que ya no existe.

    MLflow no puede saberlo: para él siguen en marcha. Las de otras máquinas no se tocan.

    Returns:
        Los identificadores de las que cambiaron.
    """
    experiment = find_experiment(client)
    running = client.search_runs([experiment], "attributes.status = 'RUNNING'") if experiment else []
    dead = [run.info.run_id for run in running if is_dead(run.data.tags.get(PROCESS_TAG, ""))]
    for run_id in dead:
        client.set_terminated(run_id, "KILLED")
    return dead
