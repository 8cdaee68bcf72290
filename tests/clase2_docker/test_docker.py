"""Los contenedores de la clase: se construyen, se levantan, contestan, y conservan lo que deben."""

from __future__ import annotations

import http.cookiejar
import json
import secrets
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared import ROOT
from tests.docker_stack import Stack, free_port, running
from tests.repository import clean_copy

pytestmark = pytest.mark.docker

CLASS = ROOT / "clase2_docker"
PORTS = ("SIMPLE_SERVER_PORT", "WORDPRESS_PORT", "MINI_MODEL_PORT")


def docker(*arguments: str) -> str:
    return subprocess.run(["docker", *arguments], capture_output=True, text=True, check=True).stdout


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]):
    """Escribe una línea en la terminal aunque la prueba pase."""

    def write(text: str) -> None:
        with capsys.disabled():
            print(f"\n{text}")  # noqa: T201

    return write


@pytest.fixture
def image() -> Iterator[str]:
    """Nombre de una imagen que se borra al terminar."""
    name = f"prueba-{secrets.token_hex(4)}"
    yield name
    docker("image", "rm", "--force", name)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """La pila de la clase, con sus tres partes, en un clon recién hecho y sin `.env`."""
    clone = clean_copy(tmp_path_factory.mktemp("un clon"))
    assert not list(clone.rglob(".env"))
    with running(Stack(clone / "clase2_docker", {name: str(free_port()) for name in PORTS})) as stack:
        yield stack


def address(stack: Stack, port: str) -> str:
    return f"http://127.0.0.1:{stack.variables[port]}"


def get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=30) as response:  # noqa: S310
        return response.read().decode()


def test_simple_case_sees_its_container(image: str, say):
    docker("build", "--quiet", "--tag", image, str(CLASS / "1-simple_case"))
    seen = dict(line.split(maxsplit=1) for line in docker("run", "--rm", image).splitlines()[1:])
    assert (seen["Contenedor"], seen["Proceso"], seen["Usuario"]) == ("sí", "1", "0")
    assert seen["Python"].startswith("3.12.")
    assert "Usuario    1000" in docker("run", "--rm", "--user", "1000", image)
    say(f"imagen de simple-case: {int(docker('image', 'inspect', '--format={{.Size}}', image)) / 1e6:.0f} MB")


def test_changing_the_greeting_rebuilds_from_its_copy_on(image: str, tmp_path: Path):
    """El ejercicio de las capas: lo anterior a `COPY` se conserva, lo demás no."""
    for name in ("main.py", "Dockerfile"):
        (tmp_path / name).write_bytes((CLASS / "1-simple_case" / name).read_bytes())

    def layers() -> list[str]:
        docker("build", "--quiet", "--tag", image, str(tmp_path))
        return json.loads(docker("image", "inspect", "--format={{json .RootFS.Layers}}", image))

    before = layers()
    assert layers() == before
    program = tmp_path / "main.py"
    program.write_text(program.read_text(encoding="utf-8").replace("Hola", "Buenas"), encoding="utf-8")
    after = layers()
    assert docker("run", "--rm", image).startswith("Buenas, MLOps.")
    assert after[:-1] == before[:-1]
    assert after[-1] != before[-1]


def test_simple_server_answers_without_root_from_two_processes(stack: Stack, say):
    url = address(stack, "SIMPLE_SERVER_PORT")
    assert "Hola desde Flask" in get(url)
    answers = [json.loads(get(f"{url}/info")) for _ in range(40)]
    assert {(answer["user_id"], answer["container"]) for answer in answers} == {(1000, True)}
    assert len({answer["process_id"] for answer in answers}) == 2
    built = stack.compose("images", "--quiet", "simple-server").strip()
    say(f"imagen de simple-server: {int(docker('image', 'inspect', '--format={{.Size}}', built)) / 1e6:.0f} MB")


def test_simple_server_installs_exactly_its_requirements(stack: Stack):
    installed = stack.compose("exec", "--no-TTY", "simple-server", "pip", "freeze", "--all").lower().split()
    lines = (CLASS / "2-simple_server" / "requirements.txt").read_text(encoding="utf-8").splitlines()
    assert {line for line in installed if not line.startswith(("pip==", "setuptools==", "wheel=="))} == set(lines[1:])


def test_nothing_but_the_web_pages_is_published(stack: Stack):
    rows = [json.loads(line) for line in stack.compose("ps", "--format", "json").splitlines()]
    published = {
        row["Service"]: [(each["URL"], str(each["PublishedPort"])) for each in row["Publishers"] if each["URL"]]
        for row in rows
    }
    expected = {
        "simple-server": [("127.0.0.1", stack.variables["SIMPLE_SERVER_PORT"])],
        "wordpress": [("127.0.0.1", stack.variables["WORDPRESS_PORT"])],
        "mini-model": [("127.0.0.1", stack.variables["MINI_MODEL_PORT"])],
        "mariadb": [],
        "postgres": [],
    }
    assert {name: sorted(set(ports)) for name, ports in published.items()} == expected


def test_only_wordpress_reaches_its_database(stack: Stack):
    assert stack.compose("exec", "--no-TTY", "wordpress", "getent", "hosts", "mariadb").split()[-1] == "mariadb"
    with pytest.raises(AssertionError):
        stack.compose("exec", "--no-TTY", "simple-server", "getent", "hosts", "mariadb")
    # Una red interna no tiene salida: sin ruta por defecto, nada de fuera le llega ni sale.
    routes = stack.compose("exec", "--no-TTY", "mariadb", "cat", "/proc/net/route").splitlines()[1:]
    assert "00000000" not in {line.split()[1] for line in routes}


class Site:
    """WordPress, como lo usa una persona con su navegador."""

    def __init__(self, url: str) -> None:
        self.url = url
        cookies = urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
        self.browser = urllib.request.build_opener(cookies)

    def visit(self, path: str = "/", **fields: str) -> str:
        body = urllib.parse.urlencode(fields).encode() if fields else None
        with self.browser.open(f"{self.url}{path}", body, timeout=60) as response:
            return response.read().decode()

    def install(self, title: str) -> str:
        return self.visit(
            "/wp-admin/install.php?step=2",
            weblog_title=title,
            user_name="instructora",
            **dict.fromkeys(("admin_password", "admin_password2"), "clave-de-laboratorio"),
            pw_weak="on",
            admin_email="instructora@example.com",
            blog_public="0",
            language="",
        )


def test_a_wordpress_site_survives_down_and_not_down_with_volumes(tmp_path: Path):
    clone = clean_copy(tmp_path / "un clon")
    stack = Stack(clone / "clase2_docker" / "3-wordpress", {"WORDPRESS_PORT": str(free_port())})
    with running(stack):
        site = Site(address(stack, "WORDPRESS_PORT"))
        assert 'id="setup"' in site.visit("/wp-admin/install.php")
        assert "instructora" in site.install("Bitácora de la clase")
        assert "<title>Bitácora de la clase</title>" in site.visit()
        stack.compose("down")
        stack.compose("up", "--wait")
        assert "<title>Bitácora de la clase</title>" in site.visit()
        stack.compose("down", "--volumes")
        assert stack.project not in docker("volume", "ls", "--quiet") + docker("network", "ls") + docker("ps", "--all")
        stack.compose("up", "--wait")
        assert "Bitácora" not in site.visit()
        assert 'id="setup"' in site.visit("/wp-admin/install.php")


def test_wordpress_is_not_healthy_without_its_database(tmp_path: Path):
    clone = clean_copy(tmp_path / "un clon")
    stack = Stack(clone / "clase2_docker" / "3-wordpress", {"WORDPRESS_PORT": str(free_port())})
    with running(stack):
        [service] = [
            each
            for each in json.loads(stack.compose("config", "--format", "json"))["services"].items()
            if each[0] == "wordpress"
        ]
        probe = service[1]["healthcheck"]["test"][1:]
        stack.compose("exec", "--no-TTY", "wordpress", *probe)
        stack.compose("stop", "mariadb")
        with pytest.raises(AssertionError):
            stack.compose("exec", "--no-TTY", "wordpress", *probe)
        stack.compose("start", "mariadb")
        stack.compose("up", "--wait")
        stack.compose("exec", "--no-TTY", "wordpress", *probe)
