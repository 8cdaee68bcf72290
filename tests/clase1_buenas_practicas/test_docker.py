"""La clase se enseña solo con Docker: el laboratorio se ejecuta y JupyterLab queda abierto."""

from __future__ import annotations

import json
import os
import re
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from tests.docker_stack import Stack, free_port, running
from tests.repository import clean_copy

pytestmark = pytest.mark.docker

CLASS = "clase1_buenas_practicas"
OTHER_USER = 4242
"""Usuario que no existe en la imagen, como el de quien no es el 1000 en su máquina."""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """La pila de un clon recién hecho, en una ruta con espacios y con el usuario de ese clon."""
    clone = clean_copy(tmp_path_factory.mktemp("un clon"))
    user = os.getuid() or OTHER_USER
    for path in [clone, *clone.rglob("*")]:
        os.chown(path, user, -1)
    variables = {"NOTEBOOK_PORT": str(free_port()), "LABS_UID": str(user), "LABS_GID": str(user)}
    with running(Stack(clone / CLASS, variables)) as stack:
        yield stack


def request(stack: Stack, method: str, path: str, body: Any = None, token: str | None = None) -> Any:
    """Llama a la API de Jupyter por el puerto publicado y devuelve el JSON de la respuesta."""
    url = f"http://127.0.0.1:{stack.variables['NOTEBOOK_PORT']}{path}"
    headers = {"Authorization": f"token {token}"} if token else {}
    data = None if body is None else json.dumps(body).encode()
    call = urllib.request.Request(url, data=data, headers=headers, method=method)
    with urllib.request.urlopen(call, timeout=30) as response:  # noqa: S310
        return json.load(response)


@pytest.fixture
def token(stack: Stack) -> str:
    """El token de la dirección que Jupyter escribe en sus registros."""
    port = stack.variables["NOTEBOOK_PORT"]
    match = re.search(rf"http://127\.0\.0\.1:{port}/lab\S*\?token=(\w+)", stack.compose("logs", "notebook"))
    assert match
    return match[1]


def test_pipeline_leaves_a_good_model_in_the_volume(stack: Stack):
    read = stack.compose("exec", "notebook", "cat", f"salidas/{CLASS}/lab/evaluacion/evaluation.json")
    # 61 es el 20 % de 303, redondeado hacia arriba; un F1 de 0,95 o más delataría una fuga de datos.
    assert json.loads(read)["rows"] == 61
    assert 0.75 < json.loads(read)["model"]["f1"]["value"] < 0.95
    assert "informe.json" in stack.compose("exec", "notebook", "ls", f"salidas/{CLASS}")


def test_jupyter_asks_for_the_token(stack: Stack, token: str):
    with pytest.raises(urllib.error.HTTPError, match="403"):
        request(stack, "GET", f"/api/contents/{CLASS}")
    names = {item["name"] for item in request(stack, "GET", f"/api/contents/{CLASS}", token=token)["content"]}
    assert {"svm.ipynb", "etl.py"} <= names


def test_what_is_edited_stays_in_the_clone(stack: Stack, token: str):
    model = {"type": "file", "format": "text", "content": "mis notas\n"}
    request(stack, "PUT", f"/api/contents/{CLASS}/notas.txt", model, token)
    assert (stack.folder / "notas.txt").read_text(encoding="utf-8") == "mis notas\n"
    assert (stack.folder / "notas.txt").stat().st_uid == int(stack.variables["LABS_UID"])


def test_notebook_runs_inside_the_container(stack: Stack):
    stack.compose("exec", "notebook", "jupyter", "execute", f"{CLASS}/svm.ipynb")


def test_the_compose_user_is_the_one_asked_for(stack: Stack):
    assert stack.compose("exec", "notebook", "id", "--user").strip() == stack.variables["LABS_UID"]


def test_image_works_alone_without_root_or_network(stack: Stack):
    """Sin montar nada, como en una máquina a la que solo llega la imagen."""
    image = stack.compose("images", "--quiet", "notebook").strip()
    script = f"id --user && python {CLASS}/etl.py"
    command = ["docker", "run", "--rm", "--network", "none", image, "sh", "-c", script]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert output[0] == "1000"
    assert "303 pacientes" in output[1]
