"""Entrena con los datos que deja un ETL, y registra el modelo si es mejor que el que hay.

airflow dags test train_and_register
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pendulum
from airflow.sdk import Param, TriggerRule, dag, get_current_context, task, task_group

from clase4_airflow.dag_support import DEFAULT_ARGS, HEART_DATA, mlflow_url, task_log, task_storage

OUTPUT = "modelos/{{ dag.dag_id }}/{{ run_id }}"
POOL = "entrenamiento"
"""Tareas que entrenan a la vez, como mucho: sus plazas se cambian con `airflow pools set`."""


@task
def choose_data() -> str:
    """Los datos que lanzaron el DAG, los que se pidan o, sin nada de eso, los últimos."""
    from clase4_airflow.training_steps import latest_data

    context = get_current_context()
    events = context["triggering_asset_events"][HEART_DATA] if context.get("triggering_asset_events") else []
    with task_storage() as (storage, _):
        prefix = context["params"]["data"] or (events[-1].extra["prefix"] if events else latest_data(storage))
    task_log(context).info("datos elegidos", prefix=prefix)
    return prefix


@task.short_circuit
def enough_data(prefix: str) -> bool:
    """Si son pocos, lo demás se salta."""
    from clase4_airflow.training_steps import has_enough_rows

    with task_storage() as (storage, _):
        return has_enough_rows(storage, prefix)


@task
def list_candidates() -> list[dict[str, Any]]:
    """Las combinaciones que se van a probar."""
    from clase4_airflow import training_steps

    return training_steps.list_candidates()


@task(pool=POOL, map_index_template="{{ label }}", execution_timeout=timedelta(minutes=5))
def score(candidate: dict[str, Any], prefix: str) -> dict[str, Any]:
    """Mide una combinación por validación cruzada."""
    from clase4_airflow.training_steps import score_candidate

    get_current_context()["label"] = ", ".join(f"{name.rsplit('__')[-1]}={value}" for name, value in candidate.items())
    with task_storage() as (storage, settings):
        return score_candidate(storage, prefix, candidate, seed=settings.seed)


@task(pool=POOL)
def fit_best(scores: Any, prefix: str, output: str) -> dict[str, Any]:
    """Entrena la mejor y la mide en la prueba."""
    from clase4_airflow import training_steps

    with task_storage() as (storage, settings):
        return training_steps.fit_best(storage, prefix, list(scores), output, seed=settings.seed)


@task_group
def search(prefix: str, gate: Any) -> Any:
    """Una tarea por combinación; cuántas son se sabe al ejecutar."""
    candidates = list_candidates()
    gate >> candidates
    return fit_best(score.partial(prefix=prefix).expand(candidate=candidates), prefix, OUTPUT)


@task.branch
def decide(result: dict[str, Any]) -> str:
    """Elige la rama: registrar, o avisar de por qué no."""
    from clase4_airflow.registration_steps import why_not

    context = get_current_context()
    with task_storage() as (storage, settings):
        limits = {"floor": settings.f1_floor, "margin": settings.promotion_margin, "seed": settings.seed}
        reason = why_not(result, storage, mlflow_url(), **limits)
    context["ti"].xcom_push(key="reason", value=reason)
    task_log(context).info("decisión", register=reason is None, reason=reason)
    return "notify" if reason else "register"


@task(retries=4)
def register(result: dict[str, Any]) -> str:
    """Registra el modelo y lo promueve; repetida, no registra dos veces."""
    from clase4_airflow import registration_steps

    context = get_current_context()
    with task_storage() as (storage, settings):
        outcome = registration_steps.register(
            result,
            storage,
            mlflow_url(),
            run_key=context["run_id"],
            margin=settings.promotion_margin,
            seed=settings.seed,
        )
    task_log(context).info("modelo registrado", outcome=outcome)
    return outcome


@task
def notify(result: dict[str, Any], output: str) -> str:
    """Deja escrito por qué no se registró."""
    context = get_current_context()
    reason = context["ti"].xcom_pull(task_ids="decide", key="reason")
    with task_storage() as (storage, _):
        storage.write_json(f"{output}/aviso.json", {**result, "reason": reason})
    task_log(context).warning("modelo no registrado", reason=reason)
    return reason


@task(trigger_rule=TriggerRule.NONE_FAILED_MIN_ONE_SUCCESS)
def summarize() -> None:
    """Dice en qué quedó, viniera de la rama que viniera."""
    context = get_current_context()
    branch = context["ti"].xcom_pull(task_ids="decide")
    task_log(context).info("fin", outcome=context["ti"].xcom_pull(task_ids=branch))


@dag(
    schedule=[HEART_DATA],
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    max_active_runs=1,
    default_args=DEFAULT_ARGS,
    params={"data": Param("", type="string", description="Prefijo de los datos; vacío, los que lanzaron el DAG.")},
    tags=["clase4", "entrenamiento"],
    doc_md=__doc__,
)
def train_and_register() -> None:
    """Elige los datos, prueba las combinaciones, entrena la mejor, y la registra o explica por qué no."""
    prefix = choose_data()
    result = search(prefix, enough_data(prefix))
    choice = decide(result)
    choice >> [register(result), notify(result, OUTPUT)] >> summarize()


train_and_register()
