"""Nada de lo que se publica depende de una máquina, sobra o rompe las reglas de tamaño."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared import ROOT
from tests.repository import tracked

MAX_SCRIPT_LINES = 150
MAX_FUNCTION_LINES = 25
MAX_MAIN_LINES = 15
MAX_FILE_BYTES = 300_000

# Lo que solo existe en una máquina o en una red, o cambia sin avisar.
FORBIDDEN_TEXT = {
    "dirección de un registro de paquetes": r"https?://[\w.-]*(?:pypi|pythonhosted|npmjs|debian)[\w.-]*\b",
    "ruta absoluta de una persona": r"(?<![\w.])/(?:home/(?!lab\b)\w+|Users/\w+|root/\.pyenv)",
    "versión sin fijar": r"\w:latest\b|@(?:main|master|latest)\b",
}


def text_files() -> Iterator[tuple[Path, str]]:
    for path in tracked():
        if path != Path(__file__).resolve() and b"\0" not in (content := path.read_bytes()):
            yield path, content.decode("utf-8")


def script_functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Líneas de una función, sin su firma ni su docstring."""
    body = function.body[1:] if ast.get_docstring(function) else function.body
    return 1 + body[-1].end_lineno - body[0].lineno if body else 0


@pytest.mark.parametrize("kind", FORBIDDEN_TEXT)
def test_nothing_depends_on_a_machine(kind: str):
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path, text in text_files()
        for number, line in enumerate(text.splitlines(), start=1)
        if re.search(FORBIDDEN_TEXT[kind], line)
    ]
    assert not found, kind


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("dirección de un registro de paquetes", "--index-url https://pypi.org/simple"),
        ("ruta absoluta de una persona", "cd /home/ana/labs"),
        ("versión sin fijar", "image: redis:latest"),
    ],
)
def test_forbidden_text_is_recognised(kind: str, text: str):
    assert re.search(FORBIDDEN_TEXT[kind], text)


def test_files_are_source():
    big = [str(path.relative_to(ROOT)) for path in tracked() if path.stat().st_size > MAX_FILE_BYTES]
    assert not big, "no se guarda lo que se puede generar"


def test_dependencies_are_declared_and_used():
    result = subprocess.run(["deptry", "--no-ansi", "."], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


def test_no_module_is_a_drawer():
    assert not [str(path) for path in tracked("*.py") if path.stem in {"utils", "helpers", "misc", "common"}]


def test_class_scripts_are_short():
    for path in tracked("clase*/*.py"):
        lines = path.read_text(encoding="utf-8").splitlines()
        assert len(lines) <= MAX_SCRIPT_LINES, f"{path.relative_to(ROOT)}: {len(lines)} líneas"
        for function in script_functions(path):
            limit = MAX_MAIN_LINES if function.name == "main" else MAX_FUNCTION_LINES
            where = f"{path.relative_to(ROOT)}: {function.name} tiene {body_lines(function)} líneas"
            assert body_lines(function) <= limit, where


def test_body_lines_leave_out_signature_and_docstring():
    source = 'def f(\n    a,\n):\n    """Uno.\n\n    Dos.\n    """\n    b = a\n    return b\n'
    [function] = ast.parse(source).body
    assert body_lines(function) == 2
