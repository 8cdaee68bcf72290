"""Cada cuaderno está limpio en git y se ejecuta entero, en un kernel nuevo."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from shared import ROOT
from tests.repository import tracked

NOTEBOOKS = tracked("*.ipynb")
MAX_CELL_LINES = 15
# Lo que solo funciona con internet; la propia máquina no cuenta.
NETWORK = r"https?://(?!127\.0\.0\.1|localhost)|\b(pip|conda|apt-get) install\b|\b(wget|curl)\b|\bfetch_\w+\("

every_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: str(path.relative_to(ROOT)))


def code_cells(path: Path) -> list[nbformat.NotebookNode]:
    return [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]


def test_there_are_notebooks():
    assert ROOT / "clase1_buenas_practicas" / "svm.ipynb" in NOTEBOOKS


@every_notebook
def test_notebook_is_clean(path: Path):
    nbformat.validate(nbformat.read(path, as_version=4))
    for number, cell in enumerate(code_cells(path), start=1):
        assert not cell.outputs, f"la celda {number} guarda sus salidas: `nbstripout --keep-id {path.name}`"
        assert cell.execution_count is None, f"la celda {number} guarda su número: `nbstripout --keep-id {path.name}`"
        assert len(cell.source.splitlines()) <= MAX_CELL_LINES, f"la celda {number} es larga"
        assert not re.search(NETWORK, cell.source), f"la celda {number} usa la red"


@every_notebook
def test_notebook_runs(path: Path):
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(path.parent)}}).execute()
    assert all(cell.execution_count for cell in notebook.cells if cell.cell_type == "code" and cell.source.strip())
