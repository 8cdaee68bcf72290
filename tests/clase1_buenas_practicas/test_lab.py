"""El laboratorio entero, y sus tres programas, tal como se escriben en la terminal."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from shared import ROOT
from shared.report import read_report

CLASS = ROOT / "clase1_buenas_practicas"


def run(*command: str | Path, cwd: Path, outputs: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *command],
        cwd=cwd,
        env={**os.environ, "LABS_OUTPUTS": str(outputs)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Salidas de un laboratorio que terminó bien; las pruebas no las cambian."""
    folder = tmp_path_factory.mktemp("salidas de prueba")
    result = run(CLASS / "lab.py", cwd=folder, outputs=folder)
    assert result.returncode == 0, result.stderr
    return folder


@pytest.fixture
def outputs(finished: Path, tmp_path: Path) -> Path:
    """Copia de esas salidas que una prueba puede estropear."""
    shutil.copytree(finished, tmp_path / "salidas")
    return tmp_path / "salidas"


def test_the_three_programs_run_by_path_from_any_folder(tmp_path: Path):
    elsewhere = tmp_path / "otra carpeta"
    elsewhere.mkdir()
    for script in ("etl.py", "train_model.py", "test_model.py"):
        result = run(CLASS / script, cwd=elsewhere, outputs=tmp_path / "salidas")
        assert result.returncode == 0, result.stderr
        assert result.stderr == ""
    written = sorted(path.name for path in (tmp_path / "salidas" / CLASS.name).iterdir())
    assert written == ["datos", "evaluacion", "modelo"]
    assert list(elsewhere.iterdir()) == []


def test_each_program_explains_its_options(tmp_path: Path):
    for script in ("etl.py", "train_model.py", "test_model.py", "lab.py"):
        result = run(CLASS / script, "--help", cwd=tmp_path, outputs=tmp_path)
        assert result.returncode == 0
        assert "Opciones" in result.stdout


def test_a_bad_path_is_one_message_and_no_traceback(tmp_path: Path):
    result = run(CLASS / "etl.py", "--input", "nada.csv", cwd=tmp_path, outputs=tmp_path)
    assert result.returncode == 1
    assert result.stderr == "Error: No encuentro `nada.csv`.\nRevise la ruta del archivo de entrada.\n"


def test_the_lab_writes_its_piece_of_the_report(finished: Path):
    folder = finished / CLASS.name
    report = read_report(folder)
    assert [command.command.split()[1] for command in report.commands] == [
        f"{CLASS.name}/{script}" for script in ("etl.py", "train_model.py", "test_model.py")
    ]
    assert all((folder / figure.path).is_file() for figure in report.figures)
    assert len(report.figures) == 2
    f1_row, auc_row = report.tables[0].rows[:2]
    assert 0.75 < float(f1_row[1]) < 0.90 < float(auc_row[1]) < 1
    assert report.lines[0] == "303 pacientes: 242 de entrenamiento y 61 de prueba."


def test_the_lab_keeps_what_a_student_ran_by_hand(outputs: Path, tmp_path: Path):
    assert run(CLASS / "etl.py", "--seed", "7", cwd=tmp_path, outputs=outputs).returncode == 0
    mine = outputs / CLASS.name / "datos" / "etl.json"
    before = mine.read_bytes()
    assert run(CLASS / "lab.py", cwd=tmp_path, outputs=outputs).returncode == 0
    assert mine.read_bytes() == before


def test_a_failing_step_stops_the_lab_and_keeps_the_previous_piece(outputs: Path, tmp_path: Path):
    folder = outputs / CLASS.name
    before = (folder / "informe.json").read_bytes()
    blocked = folder / "lab" / "datos"
    shutil.rmtree(blocked)
    blocked.write_text("un archivo en el lugar de la carpeta", encoding="utf-8")
    result = run(CLASS / "lab.py", cwd=tmp_path, outputs=outputs)
    assert result.returncode == 1
    assert "No puedo escribir" in result.stderr
    assert "train_model.py" not in result.stdout
    assert blocked.read_text(encoding="utf-8") == "un archivo en el lugar de la carpeta"
    assert (folder / "informe.json").read_bytes() == before
