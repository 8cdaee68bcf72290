"""Las órdenes se muestran, no dejan procesos atrás y fallan con mensajes en español."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from shared import ROOT
from shared.commands import display_command, run_command
from shared.errors import ToolError, require_package

SCRIPT = """
import time
from pathlib import Path
from typing import Annotated
import typer
from shared.commands import run_command, run_script
from shared.errors import DataError

def main(
    mode: str,
    rows: Annotated[int, typer.Option(min=1, max=9, help="Filas.")] = 3,
    size: Annotated[float, typer.Option(min=0.1, help="Tamaño.")] = 0.5,
) -> None:
    \"\"\"Programa de prueba.\"\"\"
    if mode == "error":
        raise DataError("Qué pasó.", why="Por qué [no] pasó.", next_step="Haga `esto`.", exit_code=7)
    if mode == "fallo":
        raise RuntimeError("un fallo del código")
    run_command(["sleep", "60"])

if __name__ == "__main__":
    run_script(main)
"""


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "programa de prueba.py"
    path.write_text(SCRIPT, encoding="utf-8")
    return path


def run(script: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, script, *arguments], capture_output=True, text=True, check=False)


def test_expected_error_shows_what_why_and_what_next_without_traceback(script: Path):
    result = run(script, "error")
    assert result.returncode == 7
    assert result.stderr == "Error: Qué pasó.\nPor qué [no] pasó.\nHaga `esto`.\n"
    assert result.stdout == ""


def test_a_bug_keeps_its_traceback(script: Path):
    result = run(script, "fallo")
    assert result.returncode == 1
    assert "RuntimeError: un fallo del código" in result.stderr
    assert "Traceback" in result.stderr


USAGE_ERRORS = {
    "unknown option": (["x", "--filas", "1"], "No existe la opción --filas."),
    "not an integer": (["x", "--rows", "muchas"], "--rows debe ser un número entero."),
    "not a number": (["x", "--size", "grande"], "--size debe ser un número."),
    "too large": (["x", "--rows", "10"], "--rows debe ser 9 como máximo."),
    "too small": (["x", "--rows", "0"], "--rows debe ser 1 como mínimo."),
    "missing argument": ([], "Falta el argumento"),
    "missing value": (["x", "--rows"], "La opción --rows necesita un valor."),
    "extra argument": (["x", "y"], "Sobra: y."),
}


@pytest.mark.parametrize(("arguments", "expected"), USAGE_ERRORS.values(), ids=USAGE_ERRORS)
def test_usage_errors_are_in_spanish(script: Path, arguments: list[str], expected: str):
    result = run(script, *arguments)
    assert result.returncode == 2
    assert expected in result.stderr
    assert "--help" in result.stderr


def test_help_is_in_spanish(script: Path):
    result = run(script, "--help")
    assert result.returncode == 0
    assert "Opciones" in result.stdout
    assert "por defecto: 3" in result.stdout
    assert "Options" not in result.stdout


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopping_a_program_stops_the_command_it_runs(script: Path, number: signal.Signals):
    process = subprocess.Popen(
        [sys.executable, script, "espera"], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "$ sleep 60\n"
    child = _wait_for_child(process.pid)
    # Ctrl-C llega a todo el grupo; SIGTERM, solo al programa.
    os.killpg(process.pid, number) if number == signal.SIGINT else process.send_signal(number)
    assert process.wait(15) == {signal.SIGINT: 130, signal.SIGTERM: 143}[number]
    process.stdout.close()
    assert not child.is_running()


def _wait_for_child(pid: int) -> psutil.Process:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        for child in psutil.Process(pid).children():
            if child.name() == "sleep":
                return child
        time.sleep(0.02)
    raise AssertionError("la orden no arrancó")


def test_commands_are_shown_as_one_would_type_them_at_the_root():
    command = [sys.executable, ROOT / "clase1_buenas_practicas" / "etl.py", "--output", "una carpeta"]
    assert display_command(command) == "python clase1_buenas_practicas/etl.py --output 'una carpeta'"
    assert display_command([ROOT / "labs", "list"]) == "./labs list"


def test_a_failing_command_keeps_its_exit_code(capfd: pytest.CaptureFixture[str]):
    with pytest.raises(ToolError, match=r"código 3: `python -c") as caught:
        run_command([sys.executable, "-c", "raise SystemExit(3)"])
    assert caught.value.exit_code == 3
    assert run_command([sys.executable, "-c", "raise SystemExit(3)"], check=False) == 3
    assert capfd.readouterr().out.count("$ python -c") == 2


def test_extra_variables_are_added_to_the_environment(capfd: pytest.CaptureFixture[str]):
    program = "import os; print(os.environ['LABS_PRUEBA'], 'PATH' in os.environ)"
    run_command([sys.executable, "-c", program], env={"LABS_PRUEBA": "sí"})
    assert capfd.readouterr().out.endswith("sí True\n")


def test_missing_programs_and_packages_say_how_to_get_them():
    with pytest.raises(ToolError, match="No encuentro el programa «programa-que-no-existe»"):
        run_command(["programa-que-no-existe"])
    with pytest.raises(ToolError, match=r'pip install -e "\.\[clase5\]" -c constraints\.txt'):
        require_package("paquete_que_no_existe", extra="clase5")


def test_a_relative_folder_is_that_of_who_wrote_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Las órdenes se ejecutan en la raíz del repositorio; las carpetas de quien llama no cambian por eso."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LABS_OUTPUTS", "salidas")
    lines: list[str] = []
    code = "from shared.settings import get_settings; print(get_settings().outputs('clase1'))"
    run_command([sys.executable, "-c", code], on_line=lines.append)
    assert lines[-1] == str(tmp_path / "salidas" / "clase1")
