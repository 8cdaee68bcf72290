"""Qué dependencias de cada extra faltan, y cómo instalarlas."""

from __future__ import annotations

import importlib
import shutil
import sys
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

import typer
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from shared import ROOT
from shared.commands import run_command
from shared.errors import ToolError

DISTRIBUTION = "labs-mlops"


def missing_requirements(extra: str) -> list[str]:
    """Dependencias de un extra que faltan, o que no tienen la versión que fija `constraints.txt`."""
    missing = []
    pins = pinned_versions()
    for line in requires(DISTRIBUTION) or []:
        requirement = Requirement(line)
        if not _belongs_to(requirement, extra):
            continue
        if requirement.name == DISTRIBUTION:
            missing += [name for nested in sorted(requirement.extras) for name in missing_requirements(nested)]
        elif not _is_installed(requirement, wanted := pins.get(requirement.name, requirement.specifier)):
            missing.append(f"{requirement.name}{wanted}")
    return missing


def pinned_versions() -> dict[str, SpecifierSet]:
    """La versión de cada paquete que `constraints.txt` fija para este Python y este sistema."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    requirements = [Requirement(line) for line in lines if line and not line.startswith("#")]
    return {each.name: each.specifier for each in requirements if each.marker is None or each.marker.evaluate()}


def _belongs_to(requirement: Requirement, extra: str) -> bool:
    """¿La pide este extra, y no la base?"""
    marker = requirement.marker
    return marker is not None and marker.evaluate({"extra": extra}) and not marker.evaluate({"extra": ""})


def _is_installed(requirement: Requirement, wanted: SpecifierSet) -> bool:
    try:
        return wanted.contains(version(requirement.name), prereleases=True)
    except PackageNotFoundError:
        return False


def ensure_extra(extra: str) -> None:
    """Instala lo que le falte a un extra en el entorno que ejecuta esto; si está completo, no hace nada.

    Raises:
        ToolError: si no se pudo instalar; el motivo lo escribe el propio `./labs`, o pip.
    """
    missing = missing_requirements(extra)
    if not missing:
        return
    shown = ", ".join(missing[:5]) + (f" y {len(missing) - 5} más" if len(missing) > 5 else "")
    typer.echo(f"A «{extra}» le falta: {shown}.", err=True)
    if Path(sys.prefix) == ROOT / ".venv":
        run_command([ROOT / "labs", "--instalar", extra])
    else:
        run_command([sys.executable, "-m", "pip", "install", "-e", f".[{extra}]", "-c", "constraints.txt"])
    importlib.invalidate_caches()
    if missing := missing_requirements(extra):
        raise ToolError(
            f"Se instaló «{extra}», y le sigue faltando: {', '.join(missing)}.",
            next_step="Borre `.venv` y repita: `./labs`",
        )


def write_constraints(*, upgrade: bool) -> None:
    """Resuelve las dependencias de todos los extras para cada Python y las fija en `constraints.txt`.

    Si algo falla, el archivo anterior queda entero. No se anota ninguna dirección de índice.

    Raises:
        ToolError: si no hay solución o el índice no contesta.
    """
    target = ROOT / "constraints.txt"
    temporary = target.with_suffix(".tmp")
    shutil.copyfile(target, temporary)
    options = ["--universal", "--no-emit-index-url", "--no-annotate", "--all-extras", "--python-version", "3.10"]
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
