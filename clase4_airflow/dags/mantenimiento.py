"""Cada noche apunta lo que el ETL dejó ese día y borra lo que caducó: el ejercicio de intervalos y *backfill*.

airflow dags test mantenimiento 2026-03-01
"""

from __future__ import annotations

from typing import Any

import pendulum
from airflow.sdk import CronDataIntervalTimetable, dag, get_current_context, task

from clase4_airflow.dag_support import DEFAULT_ARGS, task_log, task_storage


@dag(
    # Con intervalo: la ejecución de la noche del 2 trata el día 1. Con una cadena cron, Airflow 3 no da intervalo.
    schedule=CronDataIntervalTimetable("0 0 * * *", timezone="UTC"),
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,  # Los días anteriores se piden aparte: airflow backfill create.
    max_active_runs=3,
    default_args=DEFAULT_ARGS,
    tags=["clase4", "mantenimiento"],
    doc_md=__doc__,
)
def mantenimiento() -> None:
    """Inventario del día y limpieza."""

    @task
    def take_inventory() -> dict[str, Any]:
        from clase4_airflow.upkeep_steps import take_inventory

        context = get_current_context()
        with task_storage() as (storage, _):
            day = take_inventory(storage, context["data_interval_start"], context["data_interval_end"])
        task_log(context).info("inventario", **day)
        return day

    @task
    def delete_expired(day: dict[str, Any]) -> int:
        from clase4_airflow.upkeep_steps import delete_expired

        context = get_current_context()
        with task_storage() as (storage, settings):
            limit = context["data_interval_end"].subtract(days=settings.retention_days)
            deleted = delete_expired(storage, limit)
        task_log(context).info("limpieza", deleted=deleted, before=str(limit), day=day["day"])
        return deleted

    delete_expired(take_inventory())


mantenimiento()
