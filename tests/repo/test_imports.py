"""Los módulos se importan en una sola dirección: pruebas y mediciones → clases → shared."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import nbformat
import pytest

from shared import ROOT
from tests.repository import tracked

# Lo que cada parte de shared no puede importar; errors y settings están debajo de todo.
FORBIDDEN_IN_SHARED = {
    "errors": r"shared\.[a-z].*",
    "settings": r"shared\.(?!errors\b)[a-z].*",
    "datasets": r"shared\.(cli|services|settings)\b.*",
    "models": r"shared\.(cli|services|settings)\b.*",
    "services": r"shared\.cli\b.*",
}


def source_of(path: Path) -> str:
    """Código de un programa, o el de las celdas de un cuaderno sin sus órdenes mágicas."""
    if path.suffix == ".py":
        return path.read_text(encoding="utf-8")
    cells = (cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code")
    return re.sub(r"(?m)^\s*[%!].*$", "", "\n".join(cells))


def imported_modules(path: Path) -> set[str]:
    """Nombres completos de lo que importa un archivo, también dentro de las funciones."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source_of(path))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            parent = node.module or ""
            if node.level:
                package = path.relative_to(ROOT).parent.parts
                parent = ".".join([*package[: len(package) - node.level + 1], *([parent] if parent else [])])
            names |= {parent} | {f"{parent}.{alias.name}" for alias in node.names}
    return names


def forbidden_pattern(path: Path) -> str:
    """Expresión regular de los módulos que un archivo no puede importar."""
    folder, *rest = path.relative_to(ROOT).parts
    if folder == "tests":
        return "(?!)"
    if folder == "benchmarks":
        return r"tests\b.*"
    if folder == "shared":
        part = rest[0].removesuffix(".py")
        return rf"(clase\d|tests)\b.*|clase\d\w+.*|{FORBIDDEN_IN_SHARED.get(part, '(?!)')}"
    return rf"tests\b.*|(?!{folder}\b)clase\d\w*\b.*"


def test_imports_follow_the_direction():
    wrong = [
        f"{path.relative_to(ROOT)} importa {name}"
        for path in tracked("*.py", "*.ipynb")
        for name in imported_modules(path)
        if re.fullmatch(forbidden_pattern(path), name)
    ]
    assert not wrong


def test_only_the_cli_imports_the_cli():
    users = {path for path in tracked("shared/*.py") if "shared.cli" in imported_modules(path)}
    assert users <= {ROOT / "shared" / "cli.py", ROOT / "shared" / "__main__.py"}


@pytest.mark.parametrize(
    ("path", "module"),
    [
        ("shared/datasets.py", "shared.settings"),
        ("shared/services/valkey.py", "shared.cli"),
        ("shared/report.py", "clase1_buenas_practicas.etl"),
        ("clase2_docker/app.py", "clase1_buenas_practicas"),
        ("clase1_buenas_practicas/etl.py", "tests.repository"),
        ("benchmarks/airflow.py", "tests.repository"),
    ],
)
def test_a_wrong_direction_is_recognised(path: str, module: str):
    assert re.fullmatch(forbidden_pattern(ROOT / path), module)
