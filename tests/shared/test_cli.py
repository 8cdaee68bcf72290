"""La orden «labs», como la usa quien la escribe en la terminal."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil
import pytest
from packaging.specifiers import SpecifierSet

from shared import ROOT
from shared.catalog import find_class, find_classes
from shared.errors import LabError
from shared.install import missing_requirements, pinned_versions
from tests.docker_stack import free_port
from tests.repository import clean_copy


def labs(*arguments: str, cwd: Path | None = None, **variables: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "shared.cli", *arguments]
    environment = {**os.environ, **variables}
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)


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
        "pytest>=1; extra == 'clase1'",
        "ruff>=999; extra == 'clase1'",
        "paquete-que-no-existe; extra == 'clase1' and python_version > '3'",
        "otro-que-no-existe; extra == 'clase1' and python_version < '3'",
        "ajeno; extra == 'clase2'",
    ]
    monkeypatch.setattr("shared.install.requires", lambda _: lines)
    # Manda la versión fijada: quien actualiza el repositorio recibe también las dependencias nuevas.
    monkeypatch.setattr("shared.install.pinned_versions", lambda: {"pytest": SpecifierSet("==1.0")})
    assert missing_requirements("clase1") == ["pytest==1.0", "ruff>=999", "paquete-que-no-existe"]
    assert missing_requirements("notebooks") == []


def test_pins_are_those_of_this_python():
    pins = pinned_versions()
    assert pins["numpy"].contains(version("numpy"))
    assert pins["pytest"].contains(version("pytest"))


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
    assert result.stdout.startswith("$ python -m pytest tests/clase1_buenas_practicas --timeout=600 -q -k no_hay")
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


def test_services_says_when_one_of_them_dies(tmp_path: Path):
    command = [sys.executable, "-m", "shared.cli", "services", "valkey"]
    environment = {**os.environ, "LABS_HOME": str(tmp_path / "estado")}
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, env=environment, **pipes) as process:
        assert process.stdout.readline().startswith("export REDIS_URL=")
        state = json.loads((tmp_path / "estado" / "servicios" / "valkey.json").read_text(encoding="utf-8"))
        os.kill(state["engine_pid"], signal.SIGKILL)
        assert process.wait(20) == 1
        said = process.stderr.read()
    assert re.search(r"^\$ \S*valkey-server --bind 127", said, re.MULTILINE)
    assert "El servicio «valkey» se detuvo" in said


def test_notebook_serves_the_class_and_leaves_nothing(tmp_path: Path):
    port = free_port()
    options = ["--no-browser", f"--port={port}", "--ServerApp.port_retries=0"]
    command = [sys.executable, "-m", "shared.cli", "notebook", "clase1", *options]
    environment = {**os.environ, "JUPYTER_RUNTIME_DIR": str(tmp_path), "JUPYTER_CONFIG_DIR": str(tmp_path)}
    if os.geteuid() == 0:
        command.append("--allow-root")
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        try:
            deadline = time.monotonic() + 60
            while not (found := list(tmp_path.glob("jpserver-*.json"))):
                assert process.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.2)
            server = json.loads(found[0].read_text(encoding="utf-8"))
            assert server["pid"] == process.pid
            url = f"{server['url']}api/contents?token={server['token']}"
            with urllib.request.urlopen(url, timeout=30) as response:  # noqa: S310
                names = {item["name"] for item in json.load(response)["content"]}
        finally:
            process.terminate()
        assert process.stdout.read().startswith(b"$ python -m jupyter lab --notebook-dir=")
    assert {"svm.ipynb", "etl.py"} <= names


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


def test_an_env_file_in_another_encoding_is_explained(tmp_path: Path):
    clone = clean_copy(tmp_path)
    (clone / ".env").write_bytes("# contraseña\n".encode("latin-1"))
    code = "from shared.commands import run_script\nfrom shared.settings import get_settings\n"
    code += "def main(): get_settings()\nrun_script(main)"
    environment = {**os.environ, "PYTHONPATH": str(clone)}
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=clone, env=environment, capture_output=True, text=True, check=False
    )
    assert result.returncode == 1
    assert result.stderr.startswith("Error: El archivo `.env` no está en UTF-8.")


@pytest.mark.docker
def test_up_says_what_to_open_and_down_leaves_nothing(tmp_path: Path):
    clone = clean_copy(tmp_path)
    port = str(free_port())
    environment = {"PYTHONPATH": str(clone), "SIMPLE_SERVER_PORT": port, "COMPOSE_PROJECT_NAME": f"prueba-{port}"}
    folder = clone / "clase1_buenas_practicas"
    shutil.copytree(clone / "clase2_docker" / "2-simple_server", folder, dirs_exist_ok=True)
    labels = "\n    labels:\n      labs.nota: Recárguela dos veces.\n"
    compose = (folder / "docker-compose.yml").read_text(encoding="utf-8").rstrip()
    (folder / "docker-compose.yml").write_text(compose + labels, encoding="utf-8")
    try:
        result = labs("up", "clase1", cwd=clone, **environment)
        assert result.returncode == 0, result.stderr
        lines = result.stdout.splitlines()
        assert lines[0].startswith("$ docker compose --project-directory clase1_buenas_practicas up --build --wait")
        assert lines[-2:] == [f"simple-server: http://127.0.0.1:{port}", "simple-server: Recárguela dos veces."]
    finally:
        result = labs("down", "clase1", "--volumes", cwd=clone, **environment)
    assert result.returncode == 0, result.stderr
    left = subprocess.run(["docker", "ps", "--all", "--quiet", "--filter", f"name=prueba-{port}"], capture_output=True)
    assert left.stdout == b""
