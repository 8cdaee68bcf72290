"""La pila de la clase: Airflow con Celery hace por su API lo mismo que en local, y sobrevive a un trabajador muerto."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator

import pytest
import requests
from sklearn.metrics import f1_score

from clase4_airflow.airflow_api import AirflowApi
from clase4_airflow.storage import Storage
from clase4_airflow.upload_data import make_storage
from shared.errors import ServiceError
from shared.registry import MODEL_NAME, connect, load_version
from shared.services.base import Endpoint
from tests.docker_stack import Stack, free_port, running
from tests.repository import clean_copy

pytestmark = pytest.mark.docker

PASSWORD = "clave-de-laboratorio"  # noqa: S105  # pragma: allowlist secret
PORTS = ("AIRFLOW_PORT", "MLFLOW_PORT", "MINIO_PORT", "MINIO_CONSOLE_PORT", "FLOWER_PORT", "PROMETHEUS_PORT")
AIRFLOW = ("airflow-apiserver", "airflow-scheduler", "airflow-dag-processor", "airflow-triggerer", "airflow-worker")
OTHERS = ("postgres", "redis", "minio", "mlflow", "flower", "prometheus")
ETLS = ("etl_process_taskflow", "etl_process_tradicional")
TABLES = ("train", "test", "train_scaled", "test_scaled")
MIB = {"KiB": 1 / 1024, "MiB": 1, "GiB": 1024}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Stack:
    """La pila, en un clon recién hecho y sin `.env`, con la imagen ya construida."""
    clone = clean_copy(tmp_path_factory.mktemp("un clon"))
    ports = {name: str(free_port()) for name in PORTS}
    stack = Stack(clone / "clase4_airflow", {**ports, "COMPOSE_PROFILES": "metricas"})
    stack.compose("build")
    return stack


@pytest.fixture(scope="module")
def start_seconds() -> dict[str, float]:
    """Lo que tardó la pila en estar sana."""
    return {}


@pytest.fixture(scope="module")
def stack(built: Stack, start_seconds: dict[str, float]) -> Iterator[Stack]:
    """La pila en marcha."""
    start = time.monotonic()
    with running(built) as stack:
        start_seconds["total"] = time.monotonic() - start
        yield stack


@pytest.fixture(scope="module")
def api(stack: Stack) -> AirflowApi:
    """Sesión con su Airflow."""
    return AirflowApi(address(stack, "AIRFLOW_PORT"), "admin", PASSWORD)


@pytest.fixture(scope="module")
def store(stack: Stack) -> Storage:
    """Su MinIO, visto desde fuera."""
    keys = {"AWS_ACCESS_KEY_ID": "laboratorio", "AWS_SECRET_ACCESS_KEY": PASSWORD}
    return make_storage(Endpoint("s3", address(stack, "MINIO_PORT"), keys))


def address(stack: Stack, port: str) -> str:
    return f"http://127.0.0.1:{stack.variables[port]}"


def rows(stack: Stack) -> list[dict]:
    """Los contenedores en marcha."""
    return [json.loads(line) for line in stack.compose("ps", "--format", "json").splitlines()]


def memory(stack: Stack) -> float:
    """Memoria de toda la pila, en MiB."""
    lines = stack.compose("stats", "--no-stream", "--format", "{{.MemUsage}}").splitlines()
    amounts = [re.match(r"([\d.]+)(\w+)", line) for line in lines]
    return sum(float(amount[1]) * MIB[amount[2]] for amount in amounts if amount)


def ask_prometheus(stack: Stack, expression: str) -> float:
    """El valor de una expresión, o 0 si no hay ninguna serie."""
    url = f"{address(stack, 'PROMETHEUS_PORT')}/api/v1/query"
    result = requests.get(url, params={"query": expression}, timeout=30).json()["data"]["result"]
    return float(result[0]["value"][1]) if result else 0.0


def eventually(check: Callable[[], bool], *, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_everything_is_healthy_in_three_minutes_and_4_gb(stack: Stack, start_seconds: dict[str, float]):
    assert {row["Service"]: row["Health"] for row in rows(stack)} == dict.fromkeys(AIRFLOW + OTHERS, "healthy")
    assert start_seconds["total"] < 180
    assert 500 < memory(stack) < 4096


def test_only_this_machine_reaches_what_is_published(stack: Stack):
    published = {
        (each["URL"], str(each["PublishedPort"])) for row in rows(stack) for each in row["Publishers"] if each["URL"]
    }
    assert published == {("127.0.0.1", stack.variables[name]) for name in PORTS}


def test_a_wrong_password_is_refused(stack: Stack):
    with pytest.raises(ServiceError, match="responde 401"):
        AirflowApi(address(stack, "AIRFLOW_PORT"), "admin", "otra")


def test_a_worker_that_dies_loses_nothing_and_more_workers_join(stack: Stack, api: AirflowApi, store: Storage):
    assert api.import_errors() == []
    for dag in (*ETLS, "train_and_register"):
        api.set_paused(dag, paused=False)
    [sturdy, killed] = [(dag, api.trigger(dag)) for dag in ETLS]
    eventually(lambda: any(task["state"] == "running" for task in api.tasks(*killed)), seconds=120)
    stack.compose("kill", "--signal", "KILL", "airflow-worker")
    [interrupted] = [task["task_id"] for task in api.tasks(*killed) if task["state"] == "running"]
    stack.compose("up", "--detach", "--wait", "--scale", "airflow-worker=3", "airflow-worker")
    for run in (sturdy, killed):
        assert api.wait(*run) == "success"
    tries = {task["task_id"]: task["try_number"] for task in api.tasks(*killed)}
    assert tries[interrupted] == 2
    for table in TABLES:
        left, right = (store.read(f"etl/{dag}/{run}/{table}.parquet") for dag, run in (sturdy, killed))
        assert left == right
    report = store.read_json(f"etl/{killed[0]}/{killed[1]}/quality.json")
    assert (report["rows"]["read"], report["rows"]["quarantined"]) == (303, 0)


def test_the_data_launch_the_training_and_the_model_is_in_mlflow(stack: Stack, api: AirflowApi, store: Storage):
    eventually(lambda: bool(api.runs("train_and_register")), seconds=120)
    run = api.runs("train_and_register")[0]
    assert run["run_type"] == "asset_triggered"
    assert api.wait("train_and_register", run["dag_run_id"]) == "success"
    client = connect(address(stack, "MLFLOW_PORT"))
    version = client.get_model_version_by_alias(MODEL_NAME, "champion")
    model = load_version(version)
    data = api.xcom("train_and_register", run["dag_run_id"], "choose_data")
    table = store.read_table(f"{data}/test.parquet")
    expected = f1_score(table["target"], model.predict(table[model.feature_names_in_]))
    assert client.get_run(version.run_id).data.metrics["test_f1"] == pytest.approx(expected)
    # El archivo está en MinIO, que es donde lo guarda el servidor de MLflow.
    stored = [item["Key"] for item in store.list_objects("mlflow/") if item["Key"].endswith("/model.skops")]
    assert any(version.source.removeprefix("models:/") in key for key in stored)


def test_the_log_of_a_task_is_read_wherever_it_ran(api: AirflowApi):
    [run] = [run["dag_run_id"] for run in api.runs(ETLS[0]) if run["run_type"] == "manual"]
    tasks = {task["task_id"]: task["try_number"] for task in api.tasks(ETLS[0], run)}
    lines = api.logs(ETLS[0], run, "validate", attempt=tasks["validate"])
    [line] = [line for line in lines if line["event"] == "filas validadas"]
    assert line["correlation_id"] == f"{ETLS[0]}/{run}"


def test_prometheus_sees_the_workers_and_their_tasks(stack: Stack):
    eventually(lambda: ask_prometheus(stack, "sum(flower_worker_online)") == 3, seconds=60)
    assert ask_prometheus(stack, 'sum(flower_events_total{type="task-succeeded"})') > 10
    assert memory(stack) < 4096
