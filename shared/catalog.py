"""Las clases que hay en el clon: se encuentran por su carpeta y se leen de su `clase.toml`."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from shared import ROOT
from shared.errors import LabError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


@dataclass(frozen=True)
class LabClass:
    """Una clase del curso.

    Attributes:
        folder: carpeta de la clase.
        title: título corto.
        teaches: qué enseña, en una línea.
        minutes: minutos que lleva, teoría y ejercicios incluidos.
    """

    folder: Path
    title: str
    teaches: str
    minutes: int

    @property
    def name(self) -> str:
        """Nombre corto, `clase1`; también es el de su extra de instalación."""
        return self.folder.name.partition("_")[0]

    @property
    def number(self) -> str:
        """Número de la clase, como texto."""
        return self.name.removeprefix("clase")


def find_classes(root: Path = ROOT) -> list[LabClass]:
    """Devuelve las clases que hay, por su número."""
    return [_read_class(path.parent) for path in sorted(root.glob("clase[0-9]_*/clase.toml"))]


def find_class(name: str) -> LabClass:
    """Devuelve una clase por su nombre: `clase1`, `1` o `clase1_buenas_practicas`.

    Raises:
        LabError: si no existe; enumera las que hay.
    """
    classes = find_classes()
    for lab in classes:
        if name.rstrip("/") in (lab.name, lab.number, lab.folder.name):
            return lab
    raise LabError(
        f"No existe la clase «{name}».",
        next_step=f"Las que hay: {', '.join(lab.name for lab in classes)}.",
        exit_code=2,
    )


def _read_class(folder: Path) -> LabClass:
    content = tomllib.loads((folder / "clase.toml").read_text(encoding="utf-8"))
    return LabClass(folder, content["title"], content["teaches"], content["minutes"])
