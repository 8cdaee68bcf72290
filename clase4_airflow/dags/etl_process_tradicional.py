"""El mismo ETL con operadores: cada tarea nombra su función, y los XCom y las dependencias se escriben.

airflow dags test etl_process_tradicional
"""

from __future__ import annotations

from typing import Any

import pendulum
from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import DAG

from clase4_airflow.dag_support import DEFAULT_ARGS, HEART_DATA, RUN_PREFIX, task_log, task_storage


def extract(prefix: str, ti: Any) -> None:
    """Copia los datos tal como llegaron."""
    from clase4_airflow import etl_steps

    with task_storage() as (storage, settings):
        ti.xcom_push(key="extracted", value=etl_steps.extract(storage, settings.source, prefix))


def validate(prefix: str, ti: Any, **context: Any) -> None:
    """Aparta las filas malas, con sus motivos."""
    from clase4_airflow import etl_quality

    extracted = ti.xcom_pull(task_ids="extract", key="extracted")
    with task_storage() as (storage, settings):
        result = etl_quality.validate(storage, extracted, prefix, max_bad_share=settings.max_bad_share)
    task_log(context).info("filas validadas", **result)
    ti.xcom_push(key="validation", value=result)


def clean(prefix: str, ti: Any) -> None:
    """Da a cada columna su tipo."""
    from clase4_airflow import etl_steps

    validation = ti.xcom_pull(task_ids="validate", key="validation")
    with task_storage() as (storage, _):
        ti.xcom_push(key="cleaned", value=etl_steps.clean(storage, validation["valid"], prefix))


def encode(prefix: str, ti: Any) -> None:
    """Convierte las categorías en números."""
    from clase4_airflow import etl_steps

    cleaned = ti.xcom_pull(task_ids="clean", key="cleaned")
    with task_storage() as (storage, _):
        ti.xcom_push(key="encoded", value=etl_steps.encode(storage, cleaned, prefix))


def split(prefix: str, ti: Any) -> None:
    """Separa entrenamiento y prueba."""
    from clase4_airflow import etl_steps

    encoded = ti.xcom_pull(task_ids="encode", key="encoded")
    with task_storage() as (storage, settings):
        parts = etl_steps.split(storage, encoded, prefix, test_size=settings.test_size, seed=settings.seed)
    ti.xcom_push(key="parts", value=parts)


def scale(prefix: str, ti: Any) -> None:
    """Completa, separa las categorías y escala."""
    from clase4_airflow import etl_steps

    parts = ti.xcom_pull(task_ids="split", key="parts")
    with task_storage() as (storage, _):
        ti.xcom_push(key="scaled", value=etl_steps.scale(storage, parts, prefix))


def report(prefix: str, ti: Any, outlet_events: Any) -> None:
    """Escribe el informe de calidad."""
    from clase4_airflow import etl_quality

    validation = ti.xcom_pull(task_ids="validate", key="validation")
    outputs = ti.xcom_pull(task_ids="split", key="parts") | ti.xcom_pull(task_ids="scale", key="scaled")
    with task_storage() as (storage, _):
        ti.xcom_push(
            key="quality", value=etl_quality.report_quality(storage, prefix, validation=validation, outputs=outputs)
        )
    # Quien dependa de estos datos sabrá en qué ejecución están.
    outlet_events[HEART_DATA].extra = {"prefix": prefix}


with DAG(
    dag_id="etl_process_tradicional",
    schedule=None,  # Se lanza a mano: el programado es el de TaskFlow, y hacen lo mismo.
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    max_active_runs=2,
    default_args=DEFAULT_ARGS,
    tags=["clase4", "etl"],
    doc_md=__doc__,
):
    steps = {
        step.__name__: PythonOperator(
            task_id=step.__name__,
            python_callable=step,
            op_kwargs={"prefix": RUN_PREFIX},
            doc=step.__doc__,
            outlets=[HEART_DATA] if step is report else [],
        )
        for step in (extract, validate, clean, encode, split, scale, report)
    }
    steps["extract"] >> steps["validate"] >> steps["clean"] >> steps["encode"] >> steps["split"] >> steps["scale"]
    [steps["validate"], steps["split"], steps["scale"]] >> steps["report"]
