"""Airflow entero en esta máquina: lo que `airflow dags test` no hace, y que al parar no queda nada."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from clase4_airflow.airflow_api import AirflowApi
from clase4_airflow.storage import Storage
from clase4_airflow.upload_data import SOURCE, make_storage
from shared import ROOT
from shared.datasets import HEART_CSV
from shared.errors import ServiceError
from shared.services import airflow as airflow_service
from shared.services import s3 as s3_service
from shared.services.base import Endpoint
from tests.clase4_airflow.conftest import forget_models

MAX_SECONDS = 300
TELLTALE = """
from airflow.sdk import Connection, dag, task


@dag(schedule=None)
def indiscreto():
    @task
    def hablar():
        connection = Connection.get("s3_labs")
        print("usuario", connection.login, "clave", connection.password)

    hablar()


indiscreto()
"""


@pytest.fixture(scope="module")
def service() -> Iterator[Endpoint]:
    """Airflow en marcha, con su almacén y su MLflow."""
    with airflow_service.running() as endpoint:
        forget_models(endpoint.environment["MLFLOW_TRACKING_URI"])
        yield endpoint


@pytest.fixture(scope="module")
def api(service: Endpoint) -> AirflowApi:
    """Sesión con ese Airflow."""
    return AirflowApi(service.url)


@pytest.fixture(scope="module")
def store(service: Endpoint) -> Storage:
    """El almacén que usa ese Airflow, con los pacientes."""
    assert service.url
    with s3_service.running() as endpoint:
        storage = make_storage(endpoint)
    storage.write(SOURCE, HEART_CSV.read_bytes())
    return storage


def airflow(service: Endpoint, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Una orden de `airflow`, con las líneas que escribe `labs services airflow`."""
    return subprocess.run(
        [sys.executable, "-m", "airflow", *arguments],
        env={**os.environ, **service.environment, **variables},
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=MAX_SECONDS,
        check=False,
    )


def wait_for_runs(api: AirflowApi, dag: str, count: int) -> list[dict]:
    """Espera a que un DAG tenga tantas ejecuciones terminadas."""
    deadline = time.monotonic() + MAX_SECONDS
    while time.monotonic() < deadline:
        done = [run for run in api.runs(dag) if run["state"] in ("success", "failed")]
        if len(done) >= count:
            return done
        time.sleep(1)
    raise AssertionError(f"{dag}: {api.runs(dag)}")


def test_every_dag_is_read_and_starts_paused(api: AirflowApi):
    assert api.import_errors() == []
    assert {dag["dag_id"]: dag["is_paused"] for dag in api.dags()} == dict.fromkeys(
        ("etl_process_taskflow", "etl_process_tradicional", "mantenimiento", "train_and_register"), True
    )


def test_the_data_of_an_etl_launch_the_training_within_its_pool(api: AirflowApi, store: Storage):
    api.set_paused("train_and_register", paused=False)
    api.set_paused("etl_process_tradicional", paused=False)
    run = api.trigger("etl_process_tradicional")
    assert api.wait("etl_process_tradicional", run, seconds=MAX_SECONDS) == "success"
    [training] = wait_for_runs(api, "train_and_register", 1)
    assert (training["state"], training["run_type"]) == ("success", "asset_triggered")
    prefix = f"etl/etl_process_tradicional/{run}"
    assert api.xcom("train_and_register", training["dag_run_id"], "choose_data") == prefix
    tasks = api.tasks("train_and_register", training["dag_run_id"])
    scores = [task for task in tasks if task["task_id"] == "search.score"]
    assert len(scores) == 9
    assert {task["pool"] for task in scores} == {"entrenamiento"}
    assert "C=10.0, kernel=linear" in {task["rendered_map_index"] for task in scores}
    # Dos plazas: nunca hubo tres a la vez.
    moments = sorted((task[edge], step) for task in scores for edge, step in (("start_date", 1), ("end_date", -1)))
    running = peak = 0
    for _, step in moments:
        running += step
        peak = max(peak, running)
    assert peak <= 2
    states = {task["task_id"]: task["state"] for task in tasks if task["task_id"] in ("register", "notify")}
    assert states == {"register": "success", "notify": "skipped"}
    assert len(store.read_table(f"{prefix}/train.parquet")) == 242


def test_repeating_a_run_leaves_the_same_bytes(api: AirflowApi, service: Endpoint, store: Storage):
    [run] = [run["dag_run_id"] for run in api.runs("etl_process_tradicional")]
    prefix = f"etl/etl_process_tradicional/{run}/"

    def state() -> dict[str, str]:
        return {item["Key"]: item["ETag"] for item in store.list_objects(prefix)}

    before = state()
    assert len(before) == 10
    for key in before:
        store.delete(key)
    api.set_paused("train_and_register", paused=True)
    cleared = airflow(service, "tasks", "clear", "--yes", "etl_process_tradicional")
    assert cleared.returncode == 0, cleared.stderr
    time.sleep(1)
    assert api.wait("etl_process_tradicional", run, seconds=MAX_SECONDS) == "success"
    assert state() == before


def test_the_log_of_a_task_says_to_which_run_it_belongs(api: AirflowApi, service: Endpoint):
    [run] = [run["dag_run_id"] for run in api.runs("etl_process_tradicional")]
    [line] = [
        line for line in api.logs("etl_process_tradicional", run, "validate") if line["event"] == "filas validadas"
    ]
    assert line["correlation_id"] == f"etl_process_tradicional/{run}"
    assert (line["read"], line["accepted"]) == (303, 303)
    logs = Path(service.environment["AIRFLOW_HOME"]) / "logs"
    [file] = logs.glob("dag_id=etl_process_tradicional/run_id=*/task_id=validate/attempt=1.log")
    assert "filas validadas" in file.read_text(encoding="utf-8")


def test_a_backfill_asks_for_past_days(api: AirflowApi, service: Endpoint, store: Storage):
    api.set_paused("mantenimiento", paused=False)
    dates = ("--from-date", "2026-03-01", "--to-date", "2026-03-02")
    created = airflow(service, "backfill", "create", "--dag-id", "mantenimiento", *dates)
    assert created.returncode == 0, created.stderr
    runs = [run for run in wait_for_runs(api, "mantenimiento", 2) if run["run_type"] == "backfill"]
    assert {run["state"] for run in runs} == {"success"}
    written = {item["Key"] for item in store.list_objects("mantenimiento/2026-03")}
    assert {"mantenimiento/2026-03-01.json", "mantenimiento/2026-03-02.json"} <= written


def test_an_unknown_dag_is_explained(api: AirflowApi):
    with pytest.raises(ServiceError, match=r"responde 404 a POST .*no_existe"):
        api.trigger("no_existe")


def test_the_health_page_says_that_every_part_is_alive(api: AirflowApi):
    health = api.get("monitor/health")
    assert {health[part]["status"] for part in ("metadatabase", "scheduler", "dag_processor", "triggerer")} == {
        "healthy"
    }


def test_the_connection_is_the_one_of_the_environment(service: Endpoint):
    shown = airflow(service, "connections", "get", "s3_labs", "--output", "json")
    assert shown.returncode == 0, shown.stderr
    assert json.loads(service.environment["AIRFLOW_CONN_S3_LABS"])["extra"]["endpoint_url"] in shown.stdout


def test_a_worker_masks_the_passwords_that_a_task_prints(service: Endpoint, tmp_path: Path):
    (tmp_path / "indiscreto.py").write_text(TELLTALE, encoding="utf-8")
    variables = {
        "AIRFLOW__CORE__DAGS_FOLDER": str(tmp_path),
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{service.url}/execution/",
        "AIRFLOW_CONN_S3_LABS": json.dumps({"conn_type": "aws", "login": "ana", "password": "clave-secreta"}),
    }
    result = airflow(service, "dags", "test", "indiscreto", "--use-executor", **variables)
    assert result.returncode == 0, result.stdout
    logs = Path(service.environment["AIRFLOW_HOME"]) / "logs" / "dag_id=indiscreto"
    text = "".join(file.read_text(encoding="utf-8") for file in logs.rglob("*.log"))
    assert "usuario ana clave ***" in text
    assert "clave-secreta" not in text
