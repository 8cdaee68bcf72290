"""La pila de la clase: los mismos programas con solo la dirección, cada cosa en su almacén, y nada se pierde."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator

import pytest

from tests.clase3_mlflow.programs import run_program
from tests.docker_stack import Stack, free_port, running
from tests.repository import clean_copy

pytestmark = pytest.mark.docker

LIST_OBJECTS = """
import json, os, boto3
store = boto3.client("s3", endpoint_url=os.environ["MLFLOW_S3_ENDPOINT_URL"])
pages = store.get_paginator("list_objects_v2").paginate(Bucket="mlflow")
print(json.dumps([(item["Key"], item["Size"]) for page in pages for item in page["Contents"]]))
"""
CLEAN_UP = 'mlflow gc --backend-store-uri "$MLFLOW_BACKEND_STORE_URI" --tracking-uri http://127.0.0.1:5001'


def url_of(stack: Stack) -> str:
    return f"http://127.0.0.1:{stack.variables['MLFLOW_PORT']}"


def run(stack: Stack, name: str, *arguments: str) -> str:
    """Ejecuta un programa de la clase contra la pila; lo único que sabe de ella es su dirección."""
    result = run_program(name, *arguments, MLFLOW_TRACKING_URI=url_of(stack))
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def query(stack: Stack, sql: str) -> list[list[str]]:
    """Filas que da PostgreSQL."""
    command = ["psql", "--username=mlflow", "--no-align", "--tuples-only", f"--command={sql}"]
    return [line.split("|") for line in stack.compose("exec", "--no-TTY", "postgres", *command).splitlines()]


def stored_objects(stack: Stack) -> dict[str, int]:
    """Objetos de la cubeta de MinIO y sus bytes, pedidos a MinIO con las claves que solo tiene el servidor."""
    listed = stack.compose("exec", "--no-TTY", "mlflow", "python", "-c", LIST_OBJECTS)
    return dict(json.loads(listed))


def health(stack: Stack) -> dict[str, str]:
    """Salud de cada servicio en marcha."""
    rows = [json.loads(line) for line in stack.compose("ps", "--format", "json").splitlines()]
    return {row["Service"]: row["Health"] for row in rows}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """La pila, en un clon recién hecho y sin `.env`, con un campeón ya registrado."""
    clone = clean_copy(tmp_path_factory.mktemp("un clon"))
    ports = {name: str(free_port()) for name in ("MLFLOW_PORT", "NOTEBOOK_PORT")}
    with running(Stack(clone / "clase3_mlflow", ports)) as stack:
        run(stack, "track_experiments.py")
        run(stack, "register_model.py")
        yield stack


def test_the_same_programs_work_with_only_the_address(stack: Stack, tmp_path):
    assert "heart-svm@champion es la versión 1" in run(stack, "load_champion.py")
    assert "Regresión logística" in run(stack, "compare_runs.py", "--output", str(tmp_path / "comparacion"))
    assert run(stack, "manage_artifacts.py", "check") == "Todo lo anotado está en el almacén.\n"


def test_metadata_is_in_postgres_and_files_are_in_minio(stack: Stack):
    experiment = "JOIN experiments USING (experiment_id) WHERE experiments.name = 'heart'"
    # Cuatro búsquedas, con 9 combinaciones del SVM y 4 de cada una de las otras tres.
    assert query(stack, f"SELECT count(*) FROM runs {experiment}") == [["25"]]  # noqa: S608
    [[version, source, run_id]] = query(
        stack, "SELECT version, storage_location, run_id FROM model_versions WHERE name = 'heart-svm'"
    )
    assert version == "1"
    assert query(stack, "SELECT alias, version FROM registered_model_aliases") == [["champion", "1"]]
    objects = stored_objects(stack)
    [model] = [size for key, size in objects.items() if key.endswith("/model.skops") and key.split("/")[-3] in source]
    assert model > 10_000
    assert {key.rsplit("/", 1)[1] for key in objects if f"/{run_id}/" in key or key.startswith(run_id)} == {
        "roc.png",
        "confusion.png",
    }
    # El servidor no guarda archivos por su cuenta.
    found = stack.compose("exec", "--no-TTY", "mlflow", "find", "/srv", "-name", "*.skops")
    assert found == ""


def test_everything_is_healthy_and_only_the_server_is_published(stack: Stack):
    assert health(stack) == {"mlflow": "healthy", "postgres": "healthy", "minio": "healthy"}
    rows = [json.loads(line) for line in stack.compose("ps", "--format", "json").splitlines()]
    published = {
        (row["Service"], each["URL"], str(each["PublishedPort"]))
        for row in rows
        for each in row["Publishers"]
        if each["URL"]
    }
    assert published == {("mlflow", "127.0.0.1", stack.variables["MLFLOW_PORT"])}


def test_another_host_name_is_refused(stack: Stack):
    """La protección contra DNS rebinding: una página ajena no llega al servidor con un nombre que apunte aquí."""
    connection = http.client.HTTPConnection("127.0.0.1", int(stack.variables["MLFLOW_PORT"]), timeout=30)
    connection.request("GET", "/api/2.0/mlflow/experiments/get?experiment_id=0", headers={"Host": "otro.example"})
    assert connection.getresponse().status == 403
    connection.close()
    connection.request("GET", "/api/2.0/mlflow/experiments/get?experiment_id=0")
    assert connection.getresponse().status == 200
    connection.close()


def test_everything_is_there_after_down_and_up(stack: Stack):
    before = run(stack, "load_champion.py"), stored_objects(stack), query(stack, "SELECT count(*) FROM metrics")
    stack.compose("down")
    assert health(stack) == {}
    stack.compose("up", "--wait")
    after = run(stack, "load_champion.py"), stored_objects(stack), query(stack, "SELECT count(*) FROM metrics")
    assert after == before
    assert set(health(stack).values()) == {"healthy"}


def test_what_is_deleted_leaves_both_stores(stack: Stack):
    """La limpieza, donde está la base de datos: dentro de la pila."""
    [[run_id]] = query(
        stack,
        "SELECT run_uuid FROM runs JOIN tags USING (run_uuid) WHERE tags.key = 'family' AND tags.value = 'forest'",
    )
    before = stored_objects(stack)
    run(stack, "manage_artifacts.py", "delete", run_id)
    assert stored_objects(stack) == before
    # Desde fuera solo se marcan los modelos: la base de datos no se publica.
    marked = run_program("manage_artifacts.py", "gc", MLFLOW_TRACKING_URI=url_of(stack))
    assert marked.returncode == 1
    assert "README" in marked.stderr
    stack.compose("exec", "--no-TTY", "mlflow", "sh", "-c", CLEAN_UP)
    after = stored_objects(stack)
    gone = {key.rsplit("/", 1)[1] for key in set(before) - set(after)}
    assert {"roc.png", "confusion.png", "model.skops", "MLmodel"} <= gone
    assert query(stack, f"SELECT count(*) FROM runs WHERE run_uuid = '{run_id}'") == [["0"]]  # noqa: S608
    assert run(stack, "manage_artifacts.py", "check") == "Todo lo anotado está en el almacén.\n"
