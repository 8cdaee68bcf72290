"""La revisión de la máquina distingue lo que falta de lo que solo limita, y dice cómo arreglarlo."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from shared import doctor


def run_doctor(**variables: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "shared.cli", "doctor"]
    environment = {**os.environ, **variables}
    return subprocess.run(command, env=environment, capture_output=True, text=True, errors="replace", check=False)


def test_this_machine_can_run_the_labs():
    result = run_doctor(COLUMNS="80")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "problema" not in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 80
    for subject in ("Python", "Sistema", "Memoria", "Disco", "Codificación", "Docker", "docker compose", "Puertos"):
        assert subject in result.stdout


def test_without_docker_it_is_only_a_warning(tmp_path: Path):
    result = run_doctor(PATH=str(tmp_path))
    assert result.returncode == 0
    assert "no está" in result.stdout
    assert "get-docker" in result.stdout


def test_an_engine_that_does_not_answer_is_a_warning_with_its_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    fake = tmp_path / "docker"
    fake.write_text("#!/bin/sh\nexit 1\n", encoding="utf-8")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    check = doctor.check_docker()
    assert (check.status, "no contesta" in check.found, bool(check.remedy)) == ("aviso", True, True)
    assert doctor.check_compose().status == "aviso"


def test_a_terminal_without_utf8_is_a_warning_with_its_command():
    result = run_doctor(PYTHONUTF8="0", PYTHONCOERCECLOCALE="0", LC_ALL="C", PYTHONIOENCODING="latin-1")
    assert result.returncode == 0
    assert "export LANG=C.UTF-8 PYTHONUTF8=1" in result.stdout


def test_a_busy_port_is_named_with_who_uses_it_by_default(monkeypatch: pytest.MonkeyPatch):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        monkeypatch.setattr(doctor, "DEFAULT_PORTS", {port: "MLflow"})
        check = doctor.check_ports()
    assert check.status == "aviso"
    assert f"{port} (MLflow)" in check.found
    assert doctor.check_ports().status == "ok"


@pytest.mark.parametrize(
    ("system", "machine", "status", "remedy"),
    [
        ("Windows", "AMD64", "problema", "wsl --install"),
        ("Linux", "armv7l", "aviso", "Docker"),
        ("Darwin", "arm64", "ok", ""),
        ("Linux", "aarch64", "ok", ""),
    ],
)
def test_platforms(system: str, machine: str, status: str, remedy: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(doctor.platform, "system", lambda: system)
    monkeypatch.setattr(doctor.platform, "machine", lambda: machine)
    check = doctor.check_platform()
    assert check.status == status
    assert remedy in check.remedy


def test_an_old_python_and_a_full_disk_are_problems(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(doctor.sys, "version_info", (3, 9, 0))
    assert doctor.check_python().status == "problema"
    monkeypatch.setattr(doctor, "GIB", 2**80)
    assert doctor.check_disk().status == "problema"
    assert doctor.check_memory().status == "aviso"
