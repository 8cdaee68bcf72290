"""Las órdenes de los README funcionan en un clon, y los enlaces de la documentación llevan a algún sitio."""

from __future__ import annotations

import itertools
import os
import re
import secrets
import subprocess
import sysconfig
import unicodedata
import venv
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

from shared import ROOT
from tests.docker_stack import Stack, free_port
from tests.repository import clean_copy, tracked

READMES = [path for path in tracked("*README.md") if path.name == "README.md"]
MARKDOWN = tracked("*.md")

# Lo que .ci/run ejecuta de verdad, porque instala o prueba el repositorio entero.
RUN_BY_CI = ("./labs demo", "./labs test", "pip install")
# Lo que prepara una de esas órdenes y no se puede ejecutar solo.
ONLY_BEFORE_THEM = ("git clone", "cd ", "python3 -m venv", "python -m venv", "source ", ". .venv")
TIMEOUT_SECONDS = 300


def bash_blocks(path: Path) -> list[str]:
    """Bloques de código marcados como `bash`."""
    return [token.content for token in MarkdownIt().parse(path.read_text(encoding="utf-8")) if token.info == "bash"]


def native_cases() -> list[object]:
    """Un caso por README: sus bloques, en orden, como los escribiría quien lo lee."""
    found = []
    for path in READMES:
        blocks = [block for block in bash_blocks(path) if not uses_docker(block) and not runs_in_ci(block)]
        if blocks:
            found.append(pytest.param(blocks, id=str(path.relative_to(ROOT))))
    return found


def docker_cases() -> list[str]:
    """Un caso por bloque con Docker; el que repiten varios README se ejecuta una vez."""
    return sorted({block for path in READMES for block in bash_blocks(path) if uses_docker(block)})


def runs_in_ci(block: str) -> bool:
    return any(command in block for command in (*RUN_BY_CI, "git clone"))


def uses_docker(block: str) -> bool:
    return re.search(r"\bdocker \w|labs (up|down)\b", block) is not None


def lend_environment(clone: Path) -> None:
    """Da al clon un `.venv` ya hecho, que ve el código del clon y los paquetes instalados en este entorno."""
    venv.create(clone / ".venv", symlinks=True)
    [packages] = (clone / ".venv" / "lib").glob("python*/site-packages")
    (packages / "clon.pth").write_text(f"{clone}\n{sysconfig.get_path('purelib')}\n", encoding="utf-8")
    stamp = 'printf "%s\\n" "$PWD"; cat pyproject.toml constraints.txt | cksum'
    with (clone / ".venv" / ".labs-listo").open("w") as stream:
        subprocess.run(["sh", "-c", stamp], cwd=clone, stdout=stream, check=True)


def run_blocks(blocks: list[str], clone: Path, **variables: str) -> None:
    """Ejecuta cada bloque en una terminal nueva, abierta en la raíz del clon."""
    environment = {
        **os.environ,
        **variables,
        "PATH": f"{clone / '.venv' / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(clone),
        "LABS_HOME": str(clone / ".labs"),
        # Las pruebas que nombra un README ya se ejecutan aquí; basta con que su orden las encuentre.
        "PYTEST_ADDOPTS": "--collect-only --quiet",
    }
    environment.pop("LABS_OUTPUTS", None)
    for block in blocks:
        result = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", block],
            cwd=clone,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_SECONDS,
            check=False,
        )
        assert result.returncode == 0, f"{block}\n{result.stdout}\n{result.stderr}"
        assert "Instalando" not in result.stderr, f"al entorno prestado le falta algo: {result.stderr}"


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """Copia limpia del repositorio, en una ruta con espacios y lista para usarse."""
    copy = clean_copy(tmp_path / "un clon")
    lend_environment(copy)
    return copy


@pytest.mark.parametrize("blocks", native_cases())
def test_readme_commands_work(blocks: list[str], clone: Path):
    run_blocks(blocks, clone)


@pytest.mark.docker
@pytest.mark.parametrize("block", docker_cases())
def test_readme_docker_commands_work(block: str, clone: Path):
    names = {name for path in tracked("*.env.example") for name in re.findall(r"(?m)^(\w+_PORT)=", path.read_text())}
    project = f"prueba-{secrets.token_hex(4)}"
    # La misma pila, pero la orden devuelve el control cuando está sana.
    waiting = re.sub(r"(?m)docker compose up(?= *(#|$))", "docker compose up --wait", block)
    try:
        run_blocks([waiting], clone, COMPOSE_PROJECT_NAME=project, **{name: str(free_port()) for name in names})
    finally:
        for path in clone.rglob("docker-compose.yml"):
            Stack(path.parent, project=project).remove()


def test_what_is_not_run_here_is_run_by_ci():
    ci = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    for path in READMES:
        for line in "\n".join(block for block in bash_blocks(path) if runs_in_ci(block)).splitlines():
            command = line.split("#")[0].strip()
            allowed = command.startswith((*RUN_BY_CI, *ONLY_BEFORE_THEM, "python -m pip install"))
            assert not command or allowed, f"{path.relative_to(ROOT)}: nadie ejecuta «{command}»"
    missing = [command for command in RUN_BY_CI if command not in ci]
    assert not missing, f".ci/run no ejecuta {missing}"


def heading_anchors(path: Path) -> set[str]:
    """Anclas que GitHub da a los títulos: minúsculas, guiones y un número en los repetidos."""
    tokens = MarkdownIt().parse(path.read_text(encoding="utf-8"))
    seen: dict[str, int] = {}
    anchors = set()
    for opening, inline in itertools.pairwise(tokens):
        if opening.type != "heading_open":
            continue
        text = "".join(child.content for child in inline.children or [])
        slug = re.sub(r"[^\w\- ]", "", unicodedata.normalize("NFC", text).lower()).replace(" ", "-")
        anchors.add(f"{slug}-{seen[slug]}" if slug in seen else slug)
        seen[slug] = seen.get(slug, 0) + 1
    return anchors


def walk(tokens: list[Token]) -> Iterator[Token]:
    for token in tokens:
        yield token
        yield from walk(token.children or [])


def links(path: Path) -> list[str]:
    """Destinos de los enlaces y las imágenes de un documento."""
    tokens = walk(MarkdownIt().enable("table").parse(path.read_text(encoding="utf-8")))
    return [str(target) for token in tokens if (target := token.attrGet("href") or token.attrGet("src"))]


@pytest.mark.parametrize("path", MARKDOWN, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path: Path):
    for link in links(path):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = unquote(link).partition("#")
        target = (path.parent / name).resolve() if name else path
        assert target.is_relative_to(ROOT), f"{link} sale del repositorio"
        assert target.is_dir() or target in tracked(), f"{link} no existe, o git no lo sigue"
        if anchor and target.suffix == ".md":
            assert anchor in heading_anchors(target), (
                f"{link}: no hay ese título; hay {sorted(heading_anchors(target))}"
            )


def test_anchors_are_those_of_github(tmp_path: Path):
    document = tmp_path / "a.md"
    document.write_text("# ¿Qué es `labs`?\n## Datos y *licencia*\n## Datos y licencia\n", encoding="utf-8")
    assert heading_anchors(document) == {"qué-es-labs", "datos-y-licencia", "datos-y-licencia-1"}
