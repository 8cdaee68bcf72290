"""Lo que los DAG comparten: su configuración, su almacén y qué se hace con los errores.

Aquí no se importa nada pesado: Airflow lee los archivos de DAG cada pocos segundos, y cada lectura lo paga.
Conexiones y variables se leen dentro de las tareas, nunca al leer el archivo.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import structlog
from airflow.sdk import Asset, Variable
from airflow.sdk.exceptions import AirflowFailException

from shared.errors import DataError, LabError, ModelError

if TYPE_CHECKING:
    from clase4_airflow.storage import Storage

S3_CONNECTION = "s3_labs"
RUN_PREFIX = "etl/{{ dag.dag_id }}/{{ run_id }}"
"""Donde escribe cada ejecución; Airflow la completa en cada tarea. Dos ejecuciones nunca coinciden."""

# Sin dirección s3://: con ella, Airflow carga todo el proveedor de Amazon, un segundo más cada vez que lee un DAG.
HEART_DATA = Asset("heart_data")
"""Los datos que dejan los ETL. Al actualizarse, Airflow lanza lo que depende de ellos."""


@dataclass(frozen=True)
class Settings:
    """Las variables de Airflow que usan las tareas.

    Attributes:
        bucket: cubeta del almacén.
        source: clave del CSV de entrada.
        test_size: proporción de prueba, en (0, 1).
        seed: semilla de la separación y de las particiones.
        max_bad_share: proporción de filas malas que se tolera, en [0, 1].
        f1_floor: F1 en validación cruzada por debajo del cual no se registra nada.
        promotion_margin: F1 que debe ganar un modelo al campeón.
        retention_days: días que se guardan las salidas del ETL.
    """

    bucket: str
    source: str
    test_size: float
    seed: int
    max_bad_share: float
    f1_floor: float
    promotion_margin: float
    retention_days: int


def read_settings() -> Settings:
    """Lee las variables de Airflow; se llama dentro de una tarea.

    Raises:
        AirflowFailException: si una no es un número o está fuera de su intervalo; no se reintenta.
    """
    try:
        settings = Settings(
            bucket=Variable.get("bucket"),
            source=Variable.get("source"),
            test_size=float(Variable.get("test_size")),
            seed=int(Variable.get("seed")),
            max_bad_share=float(Variable.get("max_bad_share")),
            f1_floor=float(Variable.get("f1_floor")),
            promotion_margin=float(Variable.get("promotion_margin")),
            retention_days=int(Variable.get("retention_days")),
        )
    except ValueError as error:
        raise AirflowFailException(f"Una variable de Airflow no es un número: {error}.") from error
    if not 0 < settings.test_size < 1:
        raise AirflowFailException(f"La variable `test_size` vale {settings.test_size}, y debe estar entre 0 y 1.")
    return settings


def open_storage(bucket: str) -> Storage:
    """El almacén de la conexión `s3_labs`; se llama dentro de una tarea."""
    from airflow.providers.amazon.aws.hooks.s3 import S3Hook

    from clase4_airflow.storage import Storage

    return Storage(S3Hook(aws_conn_id=S3_CONNECTION).get_conn(), bucket)


@contextmanager
def task_storage() -> Iterator[tuple[Storage, Settings]]:
    """Da a una tarea su almacén y su configuración, y dice qué errores tiene sentido reintentar.

    Unos datos malos seguirán malos dentro de un minuto: la tarea falla sin reintentos. Un almacén que no responde
    puede volver: ese error pasa tal cual, y Airflow reintenta.
    """
    settings = read_settings()
    try:
        yield open_storage(settings.bucket), settings
    except (DataError, ModelError) as error:
        raise AirflowFailException(str(error)) from error


def mlflow_url() -> str:
    """El servidor de MLflow de este entorno; se llama dentro de una tarea.

    Raises:
        AirflowFailException: si no hay ninguno configurado.
    """
    if url := os.environ.get("MLFLOW_TRACKING_URI"):
        return url
    raise AirflowFailException("Falta la variable de entorno `MLFLOW_TRACKING_URI`, con la dirección de MLflow.")


def task_log(context: Any) -> Any:
    """Registro de una tarea: cada línea lleva la ejecución a la que pertenece, para seguirla entre tareas."""
    run = context["dag_run"]
    return structlog.get_logger("labs").bind(correlation_id=f"{run.dag_id}/{run.run_id}")


def alert_failure(context: Any) -> None:
    """Deja constancia de una tarea que agotó sus intentos: una línea de registro y un objeto bajo `alertas/`."""
    instance, run = context["task_instance"], context["dag_run"]
    alert = {
        "dag": run.dag_id,
        "run": run.run_id,
        "task": instance.task_id,
        "try": instance.try_number,
        "error": str(context.get("exception")),
    }
    task_log(context).error("tarea fallida", **alert)
    try:
        storage = open_storage(read_settings().bucket)
        storage.write_json(f"alertas/{run.dag_id}/{run.run_id}/{instance.task_id}.json", alert)
    except LabError as error:
        task_log(context).warning("la alerta no se pudo guardar", error=str(error))


DEFAULT_ARGS = {
    "owner": "mlops",
    "retries": 2,
    "retry_delay": timedelta(seconds=5),
    "retry_exponential_backoff": True,
    "max_retry_delay": timedelta(minutes=1),
    "execution_timeout": timedelta(minutes=10),
    "on_failure_callback": alert_failure,
}
"""Lo que vale para todas las tareas; cada una puede cambiarlo."""
