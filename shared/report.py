"""Las piezas del informe: cada clase escribe la suya y `labs demo` las une en un solo HTML."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from shared.errors import DataError

REPORT_FILE = "informe.json"


class _Piece(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Table(_Piece):
    """Tabla: cada fila tiene tantas celdas como columnas; los números llegan ya redondeados."""

    title: str
    columns: list[str]
    rows: list[list[str | int | float]]


class Figure(_Piece):
    """Figura PNG: ruta relativa a la carpeta de la pieza, y texto para quien no la ve."""

    path: str
    caption: str
    alt: str

    @field_validator("path")
    @classmethod
    def _relative(cls, path: str) -> str:
        if Path(path).is_absolute() or ".." in Path(path).parts:
            raise ValueError("la ruta de una figura es relativa a su informe")
        return path


class Command(_Piece):
    """Orden que se ejecutó, como se escribe en la raíz del repositorio, y lo que tardó, en segundos."""

    command: str
    seconds: float


class Report(_Piece):
    """Pieza de una clase: título, frases, tablas, figuras, órdenes y segundos en total."""

    title: str
    lines: list[str] = []
    tables: list[Table] = []
    figures: list[Figure] = []
    commands: list[Command] = []
    seconds: float


def write_report(report: Report, folder: Path) -> Path:
    """Escribe la pieza en `folder/informe.json`; la anterior queda entera si algo falla."""
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / REPORT_FILE
    temporary = target.with_suffix(".tmp")
    temporary.write_text(report.model_dump_json(indent=2) + "\n", encoding="utf-8")
    return temporary.replace(target)


def read_report(folder: Path) -> Report:
    """Lee la pieza de una clase.

    Raises:
        DataError: si no existe o no cumple el esquema.
    """
    path = folder / REPORT_FILE
    try:
        return Report.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, ValidationError) as error:
        raise DataError(
            f"No puedo leer la pieza del informe `{path}`.", why=str(error), next_step="Repita la clase con `labs run`."
        ) from error


def render_html(pieces: Sequence[tuple[Report, Path]], target: Path) -> Path:
    """Une las piezas en un HTML que no necesita ningún otro archivo.

    Args:
        pieces: cada informe y la carpeta a la que se refieren sus figuras.
        target: archivo que se escribe.
    """
    from jinja2 import Environment, PackageLoader

    def embed(folder: Path, figure: Figure) -> str:
        return base64.b64encode((folder / figure.path).read_bytes()).decode("ascii")

    environment = Environment(loader=PackageLoader("shared"), autoescape=True)
    html = environment.get_template("report.html.j2").render(
        pieces=pieces, embed=embed, when=datetime.now().astimezone(), total=sum(piece.seconds for piece, _ in pieces)
    )
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_suffix(".tmp")
    temporary.write_text(html, encoding="utf-8")
    return temporary.replace(target)
