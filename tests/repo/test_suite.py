"""Las propias pruebas avisan: de lo que falta en la máquina y de los procesos que se quedan atrás."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from shared import ROOT

# Una prueba que necesita Docker, varias que se reparten y otra que deja un proceso atrás.
NEEDS_DOCKER = """
import pytest

@pytest.mark.docker
def test_docker():
    pass
"""
NEED_DOCKER_OR_NOT = """
import pytest

@pytest.mark.docker
@pytest.mark.parametrize("number", range(8))
def test_docker(number):
    pass

def test_other():
    pass
"""
LEAVES_A_PROCESS = """
import subprocess

def test_leak():
    subprocess.Popen(["/bin/sleep", "30"], start_new_session=True)
"""


def run_pytest(folder: Path, source: str, *options: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Ejecuta una prueba suelta con la configuración del repositorio y sin motor de Docker."""
    (folder / "test_sample.py").write_text(source, encoding="utf-8")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("LABS_REQUIRE", "PYTEST"))}
    command = [sys.executable, "-m", "pytest", "-c", ROOT / "pyproject.toml", "-p", "tests.conftest", folder]
    return subprocess.run(
        [*command, "-p", "no:cacheprovider", *options],
        cwd=ROOT,
        env={**environment, "DOCKER_HOST": f"unix://{folder}/no-existe", **variables},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_missing_tool_is_said_in_one_line(tmp_path: Path):
    result = run_pytest(tmp_path, NEEDS_DOCKER)
    assert result.returncode == 0
    assert "\n1 prueba: falta un motor de Docker en marcha, con compose\n" in result.stdout
    assert "1 skipped" in result.stdout.splitlines()[-1]


@pytest.mark.parametrize("variables", [{"LABS_REQUIRE": "docker"}, {"LABS_REQUIRE_DOCKER": "1"}], ids=str)
def test_a_missing_tool_that_is_required_fails(tmp_path: Path, variables: dict[str, str]):
    result = run_pytest(tmp_path, NEEDS_DOCKER, **variables)
    assert result.returncode == 1
    assert "LABS_REQUIRE exige «docker» y falta" in result.stdout


def test_an_unknown_tool_cannot_be_required(tmp_path: Path):
    result = run_pytest(tmp_path, NEEDS_DOCKER, LABS_REQUIRE="dcoker")
    assert result.returncode == 4
    assert "LABS_REQUIRE nombra algo desconocido: dcoker" in result.stderr


def test_docker_tests_share_one_process(tmp_path: Path):
    """Dos pilas a la vez no caben en un portátil; y con algunas versiones, xdist olvida los grupos sin avisar."""
    result = run_pytest(tmp_path, NEED_DOCKER_OR_NOT, "-n2", "--dist=loadgroup", "-v")
    workers = re.findall(r"\[(gw\d)\].* SKIPPED \S*test_docker", result.stdout)
    assert len(workers) == 8
    assert len(set(workers)) == 1


def test_a_process_left_behind_fails(tmp_path: Path):
    result = run_pytest(tmp_path, LEAVES_A_PROCESS)
    assert result.returncode == 1
    assert "Procesos que siguen vivos: ['/bin/sleep 30']" in result.stdout
