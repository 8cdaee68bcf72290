"""Los programas de la clase, ejecutados como en una terminal."""

from __future__ import annotations

import os
import subprocess
import sys

from shared import ROOT


def start_program(name: str, *arguments: str, **variables: str) -> subprocess.Popen[str]:
    """Lanza un programa; su salida se lee línea a línea."""
    return subprocess.Popen(
        [sys.executable, ROOT / "clase3_mlflow" / name, *arguments],
        env={**os.environ, "PYTHONUNBUFFERED": "1", **variables},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run_program(name: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Ejecuta un programa y espera a que termine."""
    with start_program(name, *arguments, **variables) as process:
        out, err = process.communicate()
    return subprocess.CompletedProcess([name, *arguments], process.returncode, out, err)


def read_until(process: subprocess.Popen[str], text: str) -> None:
    """Espera a que un programa escriba un texto."""
    assert process.stdout is not None
    seen = ""
    for line in process.stdout:
        seen += line
        if text in line:
            return
    raise AssertionError(f"terminó sin escribir «{text}»:\n{seen}")
