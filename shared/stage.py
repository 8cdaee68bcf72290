"""La etapa de una clase: ejecuta sus órdenes nativas, una tras otra, y deja su pieza del informe."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from shared.commands import display_command, run_command
from shared.report import Command, Figure, Report, Table, write_report


class Stage:
    """Órdenes de una clase y lo que tardó cada una.

    Args:
        title: título de la clase en el informe.
        folder: carpeta de salidas; ahí queda `informe.json`.
    """

    def __init__(self, title: str, folder: Path) -> None:
        self.title = title
        self.folder = folder
        self._commands: list[Command] = []
        self._start = time.perf_counter()

    def run(self, *command: str | Path, env: Mapping[str, str] | None = None) -> None:
        """Muestra una orden, la ejecuta y anota sus segundos.

        Raises:
            ToolError: si la orden falla; la pieza anterior del informe queda como estaba.
        """
        start = time.perf_counter()
        run_command(command, env=env)
        seconds = round(time.perf_counter() - start, 1)
        self._commands.append(Command(command=display_command(command), seconds=seconds))

    def finish(self, *, lines: Sequence[str], tables: Sequence[Table] = (), figures: Sequence[Figure] = ()) -> Path:
        """Escribe la pieza del informe y devuelve su ruta."""
        report = Report(
            title=self.title,
            lines=list(lines),
            tables=list(tables),
            figures=list(figures),
            commands=self._commands,
            seconds=round(time.perf_counter() - self._start, 1),
        )
        return write_report(report, self.folder)
