"""Mide lo que tarda en contestar la orden «labs», contra lo que tarda Python en no hacer nada.

python benchmarks/inicio.py
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from typing import Annotated

import typer

from shared import ROOT
from shared.commands import run_script

COMMANDS = {
    "Python, sin nada más": [sys.executable, "-c", "pass"],
    "python -m shared.cli --help": [sys.executable, "-m", "shared.cli", "--help"],
    "./labs --help, ya instalado": ["./labs", "--help"],
    "import sklearn": [sys.executable, "-c", "import sklearn.svm"],
}


def measure(command: list[str], *, repeats: int) -> float:
    """Mediana, en segundos, de varias ejecuciones; antes hace una que no cuenta."""
    seconds = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        subprocess.run(command, cwd=ROOT, stdout=subprocess.DEVNULL, check=True)  # noqa: S603
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds[1:])


def main(repeats: Annotated[int, typer.Option(min=3, max=100, help="Ejecuciones que cuentan.")] = 10) -> None:
    """Mide lo que tarda en contestar la orden «labs»."""
    base = 0.0
    for name, command in COMMANDS.items():
        seconds = measure(command, repeats=repeats)
        base = base or seconds
        typer.echo(f"{name:<30}{seconds * 1000:7.0f} ms   {seconds / base:5.1f} veces Python")


if __name__ == "__main__":
    run_script(main)
