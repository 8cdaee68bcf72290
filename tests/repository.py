"""Los archivos del repositorio, para las pruebas que los recorren o trabajan sobre una copia."""

from __future__ import annotations

import functools
import shutil
import subprocess
import tempfile
from fnmatch import fnmatchcase
from pathlib import Path

from shared import ROOT


def tracked(*patterns: str) -> list[Path]:
    """Archivos que forman parte del repositorio: los que `.gitignore` no descarta, en orden.

    Args:
        patterns: comodines sobre la ruta relativa, donde `*` baja a las subcarpetas; ninguno es todos.
    """
    return [
        ROOT / name
        for name in _relative_names()
        if not patterns or any(fnmatchcase(name, pattern) for pattern in patterns)
    ]


@functools.cache
def _relative_names() -> tuple[str, ...]:
    """Rutas relativas; un índice de git vacío y pasajero vale también para quien bajó el ZIP."""
    with tempfile.TemporaryDirectory() as folder:
        git = ["git", f"--git-dir={folder}", f"--work-tree={ROOT}"]
        subprocess.run([*git, "init", "--quiet"], check=True)
        command = [*git, "ls-files", "-z", "--others", "--exclude-standard"]
        output = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True).stdout
    return tuple(sorted(name for name in output.split("\0") if name))


def clean_copy(target: Path) -> Path:
    """Copia el repositorio como queda en un clon: sin entornos, estado ni salidas."""
    for path in tracked():
        destination = target / path.relative_to(ROOT)
        destination.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, destination)
    return target
