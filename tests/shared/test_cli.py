"""La orden «labs», como la usa quien la escribe en la terminal."""

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
from shared.catalog import find_class, find_classes
from shared.errors import LabError
from shared.install import missing_requirements


def labs(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "shared.cli", *arguments]
    return subprocess.run(command, env={**os.environ, **variables}, capture_output=True, text=True, check=False)


def test_every_order_of_the_design_is_there():
    result = labs("--help", COLUMNS="80")
    assert result.returncode == 0
    for name in ("list", "doctor", "run", "demo", "services", "up", "down", "notebook", "test", "lock"):
        assert f"│ {name} " in result.stdout
    assert "Instala el autocompletado" in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 80


def test_help_imports_nothing_heavy():
    program = (
        "import sys, shared.cli; "
        "heavy = {'pandas', 'numpy', 'sklearn', 'pydantic', 'psutil', 'matplotlib', 'jinja2'} & set(sys.modules); "
        "print(sorted(heavy))"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout == "[]\n"


def test_the_list_shows_what_each_class_teaches_and_whether_it_is_installed():
    result = labs("list", COLUMNS="80")
    assert result.returncode == 0
    for lab in find_classes():
        assert lab.name in result.stdout
    assert "sí" in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 80


@pytest.mark.parametrize("name", ["clase1", "1", "clase1_buenas_practicas", "clase1_buenas_practicas/"])
def test_a_class_has_several_names(name: str):
    assert find_class(name).folder == ROOT / "clase1_buenas_practicas"


def test_an_unknown_class_lists_those_that_exist():
    with pytest.raises(LabError, match=r"No existe la clase «clase99».*clase1"):
        find_class("clase99")
    result = labs("run", "clase99")
    assert result.returncode == 2
    assert "Las que hay: clase1" in result.stderr
    assert result.stdout == ""


def test_an_unknown_order_is_explained_in_spanish():
    result = labs("corre")
    assert result.returncode == 2
    assert result.stderr == "Error: No existe la orden «corre».\nVea las opciones: `labs --help`\n"


def test_missing_requirements_follow_extras_inside_extras(monkeypatch: pytest.MonkeyPatch):
    lines = [
        "base>=1",
        "jupyterlab>=4; extra == 'notebooks'",
        "labs-mlops[notebooks]; extra == 'clase1'",
        "pytest>=999; extra == 'clase1'",
        "paquete-que-no-existe; extra == 'clase1' and python_version > '3'",
        "otro-que-no-existe; extra == 'clase1' and python_version < '3'",
        "ajeno; extra == 'clase2'",
    ]
    monkeypatch.setattr("shared.install.requires", lambda _: lines)
    assert missing_requirements("clase1") == ["pytest>=999", "paquete-que-no-existe"]
    assert missing_requirements("notebooks") == []


def test_run_shows_the_native_command_and_passes_the_rest_to_it():
    result = labs("run", "clase1", "--", "--help")
    assert result.returncode == 0
    assert result.stdout.startswith("$ python clase1_buenas_practicas/lab.py --help\n")
    assert "Ejecuta el laboratorio de la clase 1" in result.stdout


def test_run_fails_with_the_code_of_the_lab():
    result = labs("run", "clase1", "--no-existe")
    assert result.returncode == 2
    assert "No existe la opción --no-existe" in result.stderr


def test_demo_ends_with_the_path_of_a_report_that_has_the_metrics(tmp_path: Path):
    result = labs("demo", "clase1", LABS_OUTPUTS=str(tmp_path))
    assert result.returncode == 0, result.stdout + result.stderr
    path = Path(result.stdout.rsplit("Informe: ", 1)[1].strip())
    html = path.read_text(encoding="utf-8")
    assert "F1 en prueba: 0." in html
    assert "AUC en prueba: 0." in html
    assert "$ python clase1_buenas_practicas/etl.py" in result.stdout
    assert path.parent == tmp_path


def test_demo_stops_at_the_stage_that_fails(tmp_path: Path):
    (tmp_path / "clase1_buenas_practicas").write_text("un archivo donde va la carpeta", encoding="utf-8")
    result = labs("demo", "clase1", LABS_OUTPUTS=str(tmp_path))
    assert result.returncode == 1
    assert "No puedo escribir" in result.stdout
    assert "La orden terminó con código 1" in result.stderr
    assert "Informe:" not in result.stdout


def test_test_runs_pytest_on_the_class_and_keeps_its_code():
    result = labs("test", "clase1", "--", "-q", "-k", "no_hay_ninguna_prueba_asi", "-p", "no:cacheprovider")
    assert result.returncode == 5
    assert result.stdout.startswith("$ python -m pytest tests/clase1_buenas_practicas -q -k no_hay")
    assert "deselected" in result.stdout.splitlines()[-1]


def test_up_without_docker_says_what_to_do_instead(tmp_path: Path):
    result = labs("up", "clase1", PATH=str(tmp_path))
    assert result.returncode == 1
    assert "No encuentro Docker." in result.stderr
    assert "labs run" in result.stderr


def test_ctrl_c_during_a_lab_leaves_no_process(tmp_path: Path):
    command = [sys.executable, "-m", "shared.cli", "run", "clase1"]
    environment = {**os.environ, "LABS_OUTPUTS": str(tmp_path)}
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, start_new_session=True
    )
    assert process.stdout is not None
    while "Probando" not in process.stdout.readline():
        assert process.poll() is None
    family = psutil.Process(process.pid).children(recursive=True)
    assert family
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(20) == 130
    process.stdout.close()
    _, alive = psutil.wait_procs(family, timeout=5)
    assert [child for child in alive if child.status() != psutil.STATUS_ZOMBIE] == []
    assert [path.name for path in (tmp_path / "clase1_buenas_practicas" / "lab").iterdir()] == ["datos"]


def test_services_prints_lines_that_another_terminal_can_paste(tmp_path: Path):
    command = [sys.executable, "-m", "shared.cli", "services", "valkey"]
    environment = {**os.environ, "LABS_HOME": str(tmp_path / "estado con espacio")}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line.startswith("export REDIS_URL=")
    address = line.removeprefix("export REDIS_URL=").strip().strip("'")
    ask = "import sys, redis; print(redis.Redis.from_url(sys.argv[1]).ping())"
    answer = subprocess.run([sys.executable, "-c", ask, address], capture_output=True, text=True, check=True)
    assert answer.stdout == "True\n"
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 130
    process.stdout.close()
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and not _refuses(address):
        time.sleep(0.1)
    assert _refuses(address)


def _refuses(address: str) -> bool:
    import redis

    try:
        redis.Redis.from_url(address).ping()
    except redis.ConnectionError:
        return True
    return False


def test_an_unknown_service_lists_those_that_exist():
    result = labs("services", "mongo")
    assert result.returncode != 0
    assert "valkey" in result.stderr
    assert "Traceback" not in result.stderr


def test_completion_offers_the_classes():
    result = labs(_LABS_COMPLETE="complete_bash", COMP_WORDS="labs run cla", COMP_CWORD="2")
    assert "clase1" in result.stdout
