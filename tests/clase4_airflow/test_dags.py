"""Los DAG, ejecutados por Airflow: qué declaran, qué dejan, y qué pasa cuando algo falla."""

from __future__ import annotations

import io
import json
import os
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import closing
from pathlib import Path

import mlflow
import pandas as pd
import pytest
from sklearn.metrics import f1_score

from clase4_airflow.storage import Storage
from clase4_airflow.upload_data import SOURCE
from shared import ROOT
from shared.registry import MODEL_NAME, connect
from shared.services.airflow import CONFIG, DAGS, airflow_settings
from shared.services.base import Endpoint
from tests.clase4_airflow.conftest import Airflow
from tests.faults import link_to

ETLS = ("etl_process_taskflow", "etl_process_tradicional")
TABLES = ("train", "test", "train_scaled", "test_scaled", "clean", "encoded", "extracted", "valid", "quarantine")
STEPS = ["extract", "validate", "clean", "encode", "split", "scale", "report"]

DESCRIBE = """
import json, sys, time
import airflow.sdk, airflow.providers.standard.operators.python
from airflow.dag_processing.dagbag import DagBag
heavy = {name for name in ("pandas", "sklearn", "mlflow", "boto3", "pyarrow") if name in sys.modules}
bag = DagBag(sys.argv[1])
added = sorted({name for name in ("pandas", "sklearn", "mlflow", "boto3", "pyarrow") if name in sys.modules} - heavy)
dags = {
    dag.dag_id: {
        "doc": dag.doc_md,
        "tags": sorted(dag.tags),
        "catchup": dag.catchup,
        "tasks": {
            task.task_id: {
                "owner": task.owner,
                "retries": task.retries,
                "timeout": bool(task.execution_timeout),
                "callback": bool(task.on_failure_callback),
                "after": sorted(task.upstream_task_ids),
            }
            for task in dag.topological_sort()
        },
    }
    for dag in bag.dags.values()
}
files = {stat.file: stat.duration.total_seconds() for stat in bag.dagbag_stats}
print("RESULT", json.dumps({"errors": bag.import_errors, "added": added, "dags": dags, "files": files}))
"""


@pytest.fixture(scope="module")
def described(airflow_home: Path) -> dict:
    """Lo que Airflow lee de los archivos de DAG."""
    result = subprocess.run(
        [sys.executable, "-c", DESCRIBE, str(DAGS)],
        env={**os.environ, **airflow_settings(airflow_home)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    [line] = [line for line in result.stdout.splitlines() if line.startswith("RESULT ")]
    return json.loads(line.removeprefix("RESULT "))


def test_every_dag_file_is_read_fast_and_without_heavy_imports(described: dict):
    assert described["errors"] == {}
    assert set(described["dags"]) == {*ETLS, "train_and_register", "mantenimiento"}
    assert described["added"] == []
    assert len(described["files"]) == 4
    assert max(described["files"].values()) < 1


def test_every_dag_says_what_it_does_and_every_task_what_happens_when_it_fails(described: dict):
    for name, dag in described["dags"].items():
        assert f"airflow dags test {name}" in dag["doc"]
        assert "clase4" in dag["tags"]
        assert dag["catchup"] is False
        for task in dag["tasks"].values():
            assert task["owner"] == "mlops"
            assert task["retries"] >= 2
            assert task["timeout"]
            assert task["callback"]


def test_both_etls_have_the_same_tasks_and_order(described: dict):
    taskflow, tradicional = (described["dags"][name]["tasks"] for name in ETLS)
    assert list(taskflow) == STEPS
    assert {name: task["after"] for name, task in taskflow.items()} == {
        name: task["after"] for name, task in tradicional.items()
    }
    assert taskflow["report"]["after"] == ["scale", "split", "validate"]


def runs_of(storage: Storage, dag: str) -> list[str]:
    """Prefijos de las ejecuciones de un ETL que terminaron."""
    reports = [item["Key"] for item in storage.list_objects(f"etl/{dag}/") if item["Key"].endswith("/quality.json")]
    return [key.removesuffix("/quality.json") for key in reports]


def test_both_etls_leave_the_same_bytes(airflow: Airflow, storage: Storage):
    for dag in ETLS:
        result = airflow("dags", "test", dag)
        assert result.returncode == 0, result.stdout + result.stderr
    [taskflow], [tradicional] = (runs_of(storage, dag) for dag in ETLS)
    for name in TABLES:
        assert storage.read(f"{taskflow}/{name}.parquet") == storage.read(f"{tradicional}/{name}.parquet"), name
    assert len(storage.read_table(f"{taskflow}/train.parquet")) == 242


def test_two_runs_at_once_do_not_mix(airflow: Airflow, storage: Storage):
    with ThreadPoolExecutor(2) as pool:
        dates = ("2026-03-01", "2026-03-02")
        results = list(pool.map(lambda date: airflow("dags", "test", ETLS[0], date), dates))
    assert [result.returncode for result in results] == [0, 0], [result.stdout[-2000:] for result in results]
    first, second = runs_of(storage, ETLS[0])
    assert first != second
    assert storage.read(f"{first}/train.parquet") == storage.read(f"{second}/train.parquet")


def test_bad_data_fail_at_once_and_nothing_follows(airflow: Airflow, storage: Storage):
    frame = pd.read_csv(io.BytesIO(storage.read(SOURCE))).astype(object)
    frame.loc[:49, "age"] = "x"
    storage.write(SOURCE, frame.to_csv(index=False).encode())
    result = airflow("dags", "test", ETLS[1])
    assert result.returncode == 1
    assert "50 de 303 filas no valen: el 17%, y se tolera el 10%" in result.stdout
    keys = [item["Key"] for item in storage.list_objects("etl/")]
    assert sorted(key.rsplit("/", 1)[1] for key in keys) == ["extracted.parquet", "quarantine.parquet", "valid.parquet"]
    [alert] = storage.list_objects("alertas/")
    content = storage.read_json(alert["Key"])
    assert (content["task"], content["try"]) == ("validate", 1)
    assert "50 de 303 filas" in content["error"]


def test_a_storage_that_fails_one_try_is_tried_again(airflow: Airflow, storage: Storage, s3: Endpoint):
    with link_to(s3.url) as link:
        # boto3 hace cinco intentos por su cuenta: con estos falla la tarea, y su segundo intento ya no.
        link.refusals = 5
        result = airflow("dags", "test", ETLS[0], **connection_to(link.url))
    assert link.refusals == 0
    assert result.returncode == 0, result.stdout
    assert "El almacén de objetos no responde" in result.stdout
    assert len(runs_of(storage, ETLS[0])) == 1


def test_a_storage_that_is_down_is_said_and_nothing_is_written(airflow: Airflow, storage: Storage, s3: Endpoint):
    with link_to(s3.url) as link:
        link.cut()
        result = airflow("dags", "test", ETLS[0], **connection_to(link.url))
    assert result.returncode == 1
    assert "El almacén de objetos no responde al pedirle `s3://mlops/datos/heart.csv`" in result.stdout
    assert storage.list_objects("etl/") == []
    assert "la alerta no se pudo guardar" in result.stdout


def connection_to(url: str) -> dict[str, str]:
    """La conexión del almacén, por otra dirección."""
    extra = {"endpoint_url": url, "region_name": "us-east-1"}
    return {
        "AIRFLOW_CONN_S3_LABS": json.dumps(
            {"conn_type": "aws", "login": "lab", "password": "clave-secreta", "extra": extra}
        )
    }


@pytest.mark.usefixtures("storage")
def test_a_variable_that_is_not_a_number_is_explained_and_not_tried_again(airflow: Airflow, tmp_path: Path):
    written = (CONFIG / "variables.yaml").read_text(encoding="utf-8")
    (tmp_path / "variables.yaml").write_text(written.replace("test_size: 0.2", "test_size: veinte"), encoding="utf-8")
    backend = json.dumps({"variables_file_path": str(tmp_path / "variables.yaml")})
    result = airflow("dags", "test", ETLS[0], AIRFLOW__SECRETS__BACKEND_KWARGS=backend)
    assert result.returncode == 1
    assert "Una variable de Airflow no es un número" in result.stdout
    assert result.stdout.count("starting task_id=extract") == 1


def test_training_registers_the_first_model_and_explains_why_not_the_second(
    airflow: Airflow, storage: Storage, mlflow_server: str
):
    assert airflow("dags", "test", ETLS[0]).returncode == 0
    first = airflow("dags", "test", "train_and_register", MLFLOW_TRACKING_URI=mlflow_server)
    assert first.returncode == 0, first.stdout
    assert "promovida a champion; no había campeón" in first.stdout
    client = connect(mlflow_server)
    version = client.get_model_version_by_alias(MODEL_NAME, "champion")
    run = client.get_run(version.run_id)
    [data] = runs_of(storage, ETLS[0])
    assert version.tags["data_sha256"] == storage.read_json(f"{data}/quality.json")["sha256"]["train"]
    model = mlflow.sklearn.load_model(f"models:/{MODEL_NAME}@champion")
    table = storage.read_table(f"{data}/test.parquet")
    predicted = model.predict(table[model.feature_names_in_])
    assert run.data.metrics["test_f1"] == pytest.approx(f1_score(table["target"], predicted))
    assert storage.list_objects("modelos/train_and_register/")

    second = airflow("dags", "test", "train_and_register", MLFLOW_TRACKING_URI=mlflow_server)
    assert second.returncode == 0, second.stdout
    [notice] = [item["Key"] for item in storage.list_objects("modelos/") if item["Key"].endswith("/aviso.json")]
    assert "no lo supera en el margen pedido" in storage.read_json(notice)["reason"]
    assert len(client.search_model_versions(f"name = '{MODEL_NAME}'")) == 1


def test_training_with_few_rows_is_skipped(airflow: Airflow, storage: Storage):
    frame = pd.read_csv(io.BytesIO(storage.read(SOURCE)))
    storage.write(SOURCE, frame.head(140).to_csv(index=False).encode())
    assert airflow("dags", "test", ETLS[0]).returncode == 0
    result = airflow("dags", "test", "train_and_register")
    assert result.returncode == 0, result.stdout
    assert storage.list_objects("modelos/") == []


def test_upkeep_writes_the_inventory_of_its_interval(airflow: Airflow, storage: Storage):
    result = airflow("dags", "test", "mantenimiento", "2026-03-02")
    assert result.returncode == 0, result.stdout
    [report] = storage.list_objects("mantenimiento/")
    assert report["Key"] == "mantenimiento/2026-03-01.json"
    assert storage.read_json(report["Key"]) == {"day": "2026-03-01", "objects": 0, "bytes": 0}


def test_airflow_waits_while_another_writes_in_its_database(airflow: Airflow, airflow_home: Path):
    with closing(sqlite3.connect(airflow_home / "airflow.db")) as writer, ThreadPoolExecutor() as pool:
        writer.execute("BEGIN IMMEDIATE")
        waiting = pool.submit(airflow, "pools", "set", "espera", "1", "con la base de datos ocupada")
        # Con los 5 s de Python, la orden se rendiría antes.
        assert not wait([waiting], timeout=20).done
        writer.rollback()
        assert waiting.result().returncode == 0, waiting.result().stderr
