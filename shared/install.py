"""Qué dependencias de cada extra faltan, y cómo instalarlas."""

from __future__ import annotations

import shutil
import sys
from importlib.metadata import PackageNotFoundError, requires, version

import typer
from packaging.requirements import Requirement

from shared import ROOT
from shared.commands import run_command

DISTRIBUTION = "labs-mlops"


def missing_requirements(extra: str) -> list[str]:
    """Dependencias de un extra que faltan o tienen otra versión, como se escriben en `pyproject.toml`."""
    missing = []
    for line in requires(DISTRIBUTION) or []:
        requirement = Requirement(line)
        if not _belongs_to(requirement, extra):
            continue
        if requirement.name == DISTRIBUTION:
            missing += [name for nested in sorted(requirement.extras) for name in missing_requirements(nested)]
        elif not _is_installed(requirement):
            missing.append(f"{requirement.name}{requirement.specifier}")
    return missing


def _belongs_to(requirement: Requirement, extra: str) -> bool:
    """¿La pide este extra, y no la base?"""
    marker = requirement.marker
    return marker is not None and marker.evaluate({"extra": extra}) and not marker.evaluate({"extra": ""})


def _is_installed(requirement: Requirement) -> bool:
    try:
        return requirement.specifier.contains(version(requirement.name), prereleases=True)
    except PackageNotFoundError:
        return False


def ensure_extra(extra: str) -> None:
    """Instala lo que le falte a un extra; si está completo, no hace nada.

    Raises:
        ToolError: si no se pudo instalar; el motivo lo escribe el propio `./labs`.
    """
    missing = missing_requirements(extra)
    if not missing:
        return
    shown = ", ".join(missing[:5]) + (f" y {len(missing) - 5} más" if len(missing) > 5 else "")
    typer.echo(f"A «{extra}» le falta: {shown}.", err=True)
    run_command([ROOT / "labs", "--instalar", extra])


def write_constraints(*, upgrade: bool) -> None:
    """Resuelve las dependencias de todos los extras para cada Python y las fija en `constraints.txt`.

    Si algo falla, el archivo anterior queda entero. No se anota ninguna dirección de índice.

    Raises:
        ToolError: si no hay solución o el índice no contesta.
    """
    target = ROOT / "constraints.txt"
    temporary = target.with_suffix(".tmp")
    shutil.copyfile(target, temporary)
    options = ["--universal", "--no-emit-index-url", "--no-annotate", "--extra", "todo", "--python-version", "3.10"]
    try:
        run_command(
            [sys.executable, "-m", "uv", "pip", "compile", "pyproject.toml", *options, "--quiet"]
            + (["--upgrade"] if upgrade else [])
            + ["--output-file", temporary.name],
            env={"UV_CUSTOM_COMPILE_COMMAND": "labs lock"},
        )
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
