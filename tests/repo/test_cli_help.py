"""Cada orden de «labs», y cada programa de las clases, explica lo que hace y cada una de sus opciones."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest
import typer

from shared import ROOT
from shared.cli import app
from tests.repository import tracked

SCRIPTS = [path for path in tracked("clase*/*.py") if "run_script(main)" in path.read_text(encoding="utf-8")]


def without_help(command: Any, name: str) -> list[str]:
    """Órdenes y parámetros que no dicen para qué son."""
    missing = [] if command.help else [name]
    missing += [f"{name} {parameter.name}" for parameter in command.params if not parameter.help]
    for child_name, child in getattr(command, "commands", {}).items():
        missing += without_help(child, f"{name} {child_name}")
    return missing


def test_every_command_of_labs_has_help():
    command = typer.main.get_command(app)
    assert set(command.commands) >= {
        "list",
        "doctor",
        "run",
        "demo",
        "services",
        "up",
        "down",
        "notebook",
        "test",
        "lock",
    }
    assert without_help(command, "labs") == []


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_script_has_help(path: Path, monkeypatch: pytest.MonkeyPatch):
    # Como al ejecutarlo por su ruta: encuentra los módulos que tiene al lado.
    monkeypatch.syspath_prepend(path.parent)
    module = importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
    script = typer.Typer(add_completion=False)
    script.command()(module.main)
    assert without_help(typer.main.get_command(script), path.name) == []
