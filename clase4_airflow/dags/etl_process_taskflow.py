"""El ETL con la API TaskFlow: las tareas son funciones, y las dependencias salen de sus argumentos.

airflow dags test etl_process_taskflow
"""

from __future__ import annotations

from typing import Any

import pendulum
from airflow.sdk import CronDataIntervalTimetable, dag, get_current_context, task

from clase4_airflow.dag_support import DEFAULT_ARGS, HEART_DATA, RUN_PREFIX, task_log, task_storage


@task
def extract(prefix: str) -> str:
    """Copia los datos tal como llegaron."""
    from clase4_airflow import etl_steps

    with task_storage() as (storage, settings):
        return etl_steps.extract(storage, settings.source, prefix)


@task
def validate(extracted: str, prefix: str) -> dict[str, Any]:
    """Aparta las filas malas, con sus motivos."""
    from clase4_airflow import etl_quality

    with task_storage() as (storage, settings):
        result = etl_quality.validate(storage, extracted, prefix, max_bad_share=settings.max_bad_share)
    task_log(get_current_context()).info("filas validadas", **result)
    return result


@task
def clean(validation: dict[str, Any], prefix: str) -> str:
    """Da a cada columna su tipo."""
    from clase4_airflow import etl_steps

    with task_storage() as (storage, _):
        return etl_steps.clean(storage, validation["valid"], prefix)


@task
def encode(cleaned: str, prefix: str) -> str:
    """Convierte las categorías en números."""
    from clase4_airflow import etl_steps

    with task_storage() as (storage, _):
        return etl_steps.encode(storage, cleaned, prefix)


@task
def split(encoded: str, prefix: str) -> dict[str, str]:
    """Separa entrenamiento y prueba."""
    from clase4_airflow import etl_steps

    with task_storage() as (storage, settings):
        return etl_steps.split(storage, encoded, prefix, test_size=settings.test_size, seed=settings.seed)


@task
def scale(parts: dict[str, str], prefix: str) -> dict[str, str]:
    """Completa, separa las categorías y escala."""
    from clase4_airflow import etl_steps

    with task_storage() as (storage, _):
        return etl_steps.scale(storage, parts, prefix)


@task(outlets=[HEART_DATA])
def report(validation: dict[str, Any], parts: dict[str, str], scaled: dict[str, str], prefix: str) -> str:
    """Escribe el informe de calidad y anuncia los datos."""
    from clase4_airflow import etl_quality

    with task_storage() as (storage, _):
        key = etl_quality.report_quality(storage, prefix, validation=validation, outputs={**parts, **scaled})
    # Quien dependa de estos datos sabrá en qué ejecución están.
    get_current_context()["outlet_events"][HEART_DATA].extra = {"prefix": prefix}
    return key


@dag(
    schedule=CronDataIntervalTimetable("0 2 * * *", timezone="UTC"),
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    max_active_runs=2,
    default_args=DEFAULT_ARGS,
    tags=["clase4", "etl"],
    doc_md=__doc__,
)
def etl_process_taskflow() -> None:
    """Extrae, valida, limpia, codifica, separa, escala y describe los datos de los pacientes."""
    validation = validate(extract(RUN_PREFIX), RUN_PREFIX)
    parts = split(encode(clean(validation, RUN_PREFIX), RUN_PREFIX), RUN_PREFIX)
    report(validation, parts, scale(parts, RUN_PREFIX), RUN_PREFIX)


etl_process_taskflow()
