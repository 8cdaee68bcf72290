"""El programa del primer contenedor dice la verdad sobre dónde se ejecuta."""

from __future__ import annotations

import os
import platform
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from shared import ROOT

FOLDER = ROOT / "clase2_docker" / "1-simple_case"


def run_here() -> dict[str, str]:
    """Lo que escribe el programa, línea a línea: nombre y valor."""
    output = subprocess.run([sys.executable, FOLDER / "main.py"], capture_output=True, text=True, check=True).stdout
    greeting, *lines = output.splitlines()
    assert greeting == "Hola, MLOps."
    return dict(line.split(maxsplit=1) for line in lines)


def test_it_describes_this_machine():
    place = run_here()
    assert place["Python"] == platform.python_version()
    assert place["Máquina"] == socket.gethostname()
    assert place["Usuario"] == str(os.getuid())
    assert int(place["Proceso"]) != os.getpid()


@pytest.mark.parametrize(("marked", "answer"), [(True, "sí"), (False, "no")])
def test_a_container_is_known_by_its_mark(tmp_path: Path, marked: bool, answer: str):
    mark = tmp_path / ".dockerenv"
    if marked:
        mark.touch()
    code = f"import main, pathlib; main.CONTAINER_MARKS = (pathlib.Path({str(mark)!r}),); main.main()"
    output = subprocess.run([sys.executable, "-c", code], cwd=FOLDER, capture_output=True, text=True, check=True).stdout
    assert output.splitlines()[-1].split() == ["Contenedor", answer]


def test_its_dockerfile_has_four_lines():
    assert len((FOLDER / "Dockerfile").read_text(encoding="utf-8").splitlines()) == 4
