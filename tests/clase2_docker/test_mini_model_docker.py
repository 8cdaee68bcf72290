"""La pila del servicio de vinos en Docker: predice, guarda, y sobrevive a lo que debe sobrevivir."""

from __future__ import annotations

import json
import re
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.browser import open_page
from tests.docker_stack import Stack, free_port, running
from tests.repository import clean_copy

pytestmark = pytest.mark.docker

FOLDER = "clase2_docker/4-mini-model-service"
# Un vino de los datos: 11 medidas, con el nombre de su campo.
WINE = {
    "fixed_acidity": "7,4",
    "volatile_acidity": "0,7",
    "citric_acid": "0",
    "residual_sugar": "1,9",
    "chlorides": "0,076",
    "free_sulfur_dioxide": "11",
    "total_sulfur_dioxide": "34",
    "density": "0,9978",
    "ph": "3,51",
    "sulphates": "0,56",
    "alcohol": "9,4",
}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """La pila de un clon recién hecho, sin `.env` y en una ruta con espacios."""
    clone = clean_copy(tmp_path_factory.mktemp("un clon"))
    assert not (clone / FOLDER / ".env").exists()
    with running(Stack(clone / FOLDER, {"MINI_MODEL_PORT": str(free_port())})) as stack:
        yield stack


def ask(stack: Stack, path: str, fields: dict[str, str] | None = None) -> tuple[int, str, str]:
    """Pide una página por el puerto publicado, o envía un formulario: código, dirección final y texto."""
    url = f"http://127.0.0.1:{stack.variables['MINI_MODEL_PORT']}{path}"
    body = None if fields is None else urlencode(fields).encode()
    try:
        with urllib.request.urlopen(url, data=body, timeout=30) as response:
            return response.status, response.url, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, url, error.read().decode()


def history(stack: Stack) -> dict[str, Any]:
    status, _, text = ask(stack, "/historial.json")
    assert status == 200, text
    return json.loads(text)


def sql(stack: Stack, query: str) -> str:
    """Pregunta a PostgreSQL dentro de su contenedor, sin pasar por el servicio."""
    command = ["psql", "--username=vinos", "--no-align", "--tuples-only", "--command", query]
    return stack.compose("exec", "--no-TTY", "postgres", *command).strip()


def test_it_predicts_and_shows_the_prediction_in_the_history(stack: Stack):
    status, url, page = ask(stack, "/", WINE)
    assert status == 200
    number = url.rsplit("/", 1)[1]
    stored = sql(stack, f"SELECT quality FROM mini_model.predictions WHERE id = {number} AND alcohol = 9.4")  # noqa: S608
    assert f"Calidad {stored} ·" in page
    assert f'href="/predicciones/{number}"' in ask(stack, "/")[2]
    assert history(stack)["predictions"][0]["id"] == int(number)


@pytest.mark.chromium
def test_a_browser_predicts_and_sees_the_history(stack: Stack, tmp_path: Path):
    before = history(stack)["total"]
    with open_page() as page:
        page.goto(f"http://127.0.0.1:{stack.variables['MINI_MODEL_PORT']}/?ejemplo=2")
        page.get_by_role("button", name="Predecir la calidad").click()
        page.wait_for_url("**/predicciones/*")
        number = page.url.rsplit("/", 1)[1]
        assert page.get_by_role("heading", name=re.compile("^Calidad (baja|media|alta) con probabilidad")).is_visible()
        assert page.get_by_role("table").get_by_role("link").first.inner_text() == number
        assert page.locator("svg.chart rect").count() >= 3
        page.screenshot(path=tmp_path / "pagina.png", full_page=True)
    assert history(stack)["total"] == before + 1


def test_a_bad_form_is_explained_and_not_stored(stack: Stack):
    before = history(stack)["total"]
    for alcohol in ("", "nan", "-1", "9" * 1_000_000):
        status, _, page = ask(stack, "/", {**WINE, "alcohol": alcohol})
        assert 400 <= status < 500
        assert "no se guardó nada" in page.lower()
    assert history(stack)["total"] == before


def test_postgres_stopped_and_started_under_it(stack: Stack):
    before = history(stack)["total"]
    stack.compose("stop", "postgres")
    assert ask(stack, "/")[0] == ask(stack, "/health")[0] == 503
    status, _, page = ask(stack, "/", WINE)
    assert status == 503
    assert "no se guardó" in page
    assert ask(stack, "/live")[0] == 200
    stack.compose("up", "--wait", "--no-recreate", "postgres")
    assert ask(stack, "/health")[0] == 200
    assert history(stack)["total"] == before
    assert ask(stack, "/", WINE)[0] == 200
    assert history(stack)["total"] == before + 1


def test_the_data_survive_down_and_not_down_with_volumes(stack: Stack):
    assert ask(stack, "/", WINE)[0] == 200
    before = history(stack)
    stack.compose("down")
    stack.compose("up", "--wait")
    assert history(stack) == before
    stack.compose("down", "--volumes")
    assert stack.project not in stack.compose("ls", "--all", "--quiet")
    stack.compose("up", "--wait")
    assert history(stack) == {"total": 0, "predictions": []}


def test_no_service_runs_as_root_nor_publishes_the_database(stack: Stack):
    assert stack.compose("exec", "--no-TTY", "mini-model", "id", "--user").strip() == "1000"
    # El primer proceso de postgres empieza como root para preparar su carpeta, y cambia de usuario.
    assert stack.compose("exec", "--no-TTY", "postgres", "stat", "--format=%U", "/proc/1").strip() == "postgres"
    published = re.findall(r"([\d.]+):(\d+)->", stack.compose("ps", "--format", "{{.Ports}}"))
    assert published == [("127.0.0.1", stack.variables["MINI_MODEL_PORT"])]


def test_the_image_carries_its_model_and_only_what_it_runs(stack: Stack, capsys: pytest.CaptureFixture[str]):
    image = stack.compose("images", "--quiet", "mini-model").strip()
    code = "from predictor import Predictor; print(Predictor().record['rows'])"
    alone = ["docker", "run", "--rm", "--network=none", "--read-only", image, "python", "-c", code]
    output = subprocess.run(alone, capture_output=True, text=True, check=True).stdout
    assert output.strip() == "{'train': 1087, 'test': 272}"
    modules = (
        "from importlib.util import find_spec; print(*map(find_spec, ('matplotlib', 'mlflow', 'pytest', 'jupyterlab')))"
    )
    output = subprocess.run([*alone[:-1], modules], capture_output=True, text=True, check=True).stdout
    assert output.split() == ["None"] * 4
    size = subprocess.run(["docker", "image", "inspect", "--format={{.Size}}", image], capture_output=True, check=True)
    with capsys.disabled():
        print(f"\nimagen de mini-model: {int(size.stdout) / 1e6:.0f} MB")  # noqa: T201
    assert int(size.stdout) < 900e6
