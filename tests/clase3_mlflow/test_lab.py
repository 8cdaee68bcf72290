"""El laboratorio entero: la primera vez corona a un campeón, y la segunda no lo cambia porque sí."""

from __future__ import annotations

from pathlib import Path

import pytest
from mlflow import MlflowClient

from shared.registry import MODEL_NAME
from shared.report import read_report
from tests.clase3_mlflow.conftest import parents
from tests.clase3_mlflow.programs import run_program

PROGRAMS = ("track_experiments", "register_model", "load_champion", "compare_runs", "manage_artifacts", "lab")


def test_the_lab_twice_leaves_the_same_champion_and_both_comparisons(client: MlflowClient, tmp_path: Path):
    """Sin `labs services`, con el servidor de la sesión y una carpeta de salidas con espacios."""
    outputs = tmp_path / "salidas de prueba"
    folder = outputs / "clase3_mlflow"
    for searches in (4, 8):
        result = run_program("lab.py", LABS_OUTPUTS=str(outputs))
        assert result.returncode == 0, result.stderr
        assert "./labs services mlflow" in result.stdout
        assert f"{MODEL_NAME}@champion es la versión 1" in result.stdout
        assert "Regresión logística" in result.stdout
        report = read_report(folder)
        comparison, versions = report.tables
        assert len(comparison.rows) == len(parents(client)) == searches
        assert [row[:2] for row in versions.rows] == [["1", "champion"]]
        assert versions.rows[0][-1] == "no había campeón"
        assert all((folder / figure.path).is_file() for figure in report.figures)
    assert dict(client.get_registered_model(MODEL_NAME).aliases) == {"champion": "1"}


@pytest.mark.parametrize("program", PROGRAMS)
def test_each_program_explains_its_options(program: str):
    result = run_program(f"{program}.py", "--help")
    assert (result.returncode, result.stderr) == (0, "")
    assert "Opciones" in result.stdout or "Órdenes" in result.stdout
