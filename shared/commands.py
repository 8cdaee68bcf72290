"""Ejecutar programas: los nuestros con errores en español, los ajenos sin dejar procesos atrás."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from io import TextIOWrapper
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import typer
from rich.console import Console
from typer.exceptions import TyperException

from shared import ROOT
from shared.errors import LabError, ToolError
from shared.spanish import SpanishCommand, translate_usage_error, use_spanish_help

MAX_SEED = 2**32 - 1
"""La mayor semilla que admiten NumPy y scikit-learn."""

FOLDER_VARIABLES = ("LABS_HOME", "LABS_OUTPUTS")
"""Variables con una carpeta: si es relativa, lo es a donde está quien la escribió."""

GRACE_SECONDS = 10.0
"""Lo que se espera a que un programa termine por las buenas antes de forzarlo."""


def run_script(main: Callable[..., Any]) -> NoReturn:
    """Ejecuta `main` como `typer.run`, con los errores y la ayuda en español.

    Un `LabError` sale por la salida de errores, sin traza; un fallo del código la conserva.
    """
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command(cls=SpanishCommand)(main)
    run_app(app)


def run_app(app: typer.Typer, *, name: str | None = None) -> NoReturn:
    """Ejecuta una aplicación de Typer y termina el proceso con su código de salida.

    Args:
        app: la aplicación.
        name: nombre con el que aparece en la ayuda; el del programa, si no se dice.
    """
    use_spanish_help()
    exit_on_sigterm()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")  # Una terminal sin UTF-8 pierde acentos, no el programa.
    try:
        code = app(prog_name=name, standalone_mode=False)
    except LabError as error:
        show_error(error)
        code = error.exit_code
    except TyperException as error:
        program = name or Path(sys.argv[0]).name
        show_error(
            LabError(translate_usage_error(error.format_message()), next_step=f"Vea las opciones: `{program} --help`")
        )
        code = 2
    except (KeyboardInterrupt, typer.Abort):
        code = 130
    sys.exit(code if isinstance(code, int) else 0)


def show_error(error: LabError) -> None:
    """Escribe un error en la salida de errores: qué, por qué y qué hacer."""
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    console.print("[bold red]Error:[/] ", end="")
    for part in (error.what, error.why, error.next_step):
        if part:
            console.print(part, markup=False)


def exit_on_sigterm() -> None:
    """Hace que SIGTERM cierre los bloques `with` y `finally`, como hace Ctrl-C."""

    def leave(_signal: int, _frame: FrameType | None) -> None:
        raise SystemExit(128 + signal.SIGTERM)

    signal.signal(signal.SIGTERM, leave)


def display_command(command: Sequence[str | Path]) -> str:
    """La orden como se escribiría en la raíz del repositorio, con `python` y rutas relativas."""
    words = []
    for word in map(str, command):
        if word == sys.executable:
            words.append("python")
        elif word.startswith(f"{ROOT}{os.sep}"):
            relative = word[len(str(ROOT)) + 1 :]
            words.append(relative if words or os.sep in relative else f"./{relative}")
        else:
            words.append(word)
    return shlex.join(words)


def run_command(
    command: Sequence[str | Path],
    *,
    cwd: Path = ROOT,
    env: Mapping[str, str] | None = None,
    check: bool = True,
    on_line: Callable[[str], None] | None = None,
) -> int:
    """Muestra una orden, la ejecuta hasta el final y devuelve su código de salida.

    Al interrumpir este proceso, la orden termina con él: primero por las buenas y, pasados
    `GRACE_SECONDS`, a la fuerza.

    Args:
        command: programa y argumentos.
        cwd: carpeta en la que se ejecuta.
        env: variables que se añaden a las del entorno.
        check: convertir un código distinto de cero en un error.
        on_line: recibe cada línea que la orden escribe, en vez de la terminal; también la propia orden.

    Raises:
        ToolError: si el programa no existe, o si falla y `check` es cierto.
    """
    shown = f"$ {display_command(command)}"
    if on_line is None:
        Console(highlight=False, soft_wrap=True).print(shown, style="bold", markup=False)
    else:
        on_line(shown)
    folders = {name: str(Path(os.environ[name]).resolve()) for name in FOLDER_VARIABLES if os.environ.get(name)}
    environment = {**os.environ, **folders, "PYTHONUNBUFFERED": "1", **(env or {})}
    streams: dict[str, Any] = (
        {} if on_line is None else {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    )
    try:
        process = subprocess.Popen([str(word) for word in command], cwd=cwd, env=environment, **streams)  # noqa: S603
    except FileNotFoundError as error:
        raise ToolError(
            f"No encuentro el programa «{command[0]}».", next_step="Revise la máquina: `labs doctor`"
        ) from error
    try:
        for line in process.stdout or ():
            if on_line is not None:
                on_line(line.rstrip("\n"))
        code = process.wait()
    except KeyboardInterrupt:
        _wait_quietly(process)  # Ctrl-C llega también a la orden, que está cerrando lo suyo.
        raise
    finally:
        stop_process(process)
        if process.stdout is not None:
            process.stdout.close()
    if check and code:
        raise ToolError(
            f"La orden terminó con código {code}: `{display_command(command)}`",
            next_step="Lea el mensaje de arriba.",
            exit_code=code if 0 < code < 256 else 1,
        )
    return code


def become_command(command: Sequence[str | Path]) -> NoReturn:
    """Muestra una orden y deja su lugar a ella: para las que conversan con quien las usa, y atienden ellas Ctrl-C."""
    Console(highlight=False, soft_wrap=True).print(f"$ {display_command(command)}", style="bold", markup=False)
    words = [str(word) for word in command]
    os.execvp(words[0], words)  # noqa: S606


def stop_process(process: subprocess.Popen[Any]) -> None:
    """Termina un proceso que siga vivo: SIGTERM, espera y, si hace falta, SIGKILL."""
    if process.poll() is not None:
        return
    process.terminate()
    _wait_quietly(process)
    if process.poll() is None:
        process.kill()
        process.wait()


def _wait_quietly(process: subprocess.Popen[Any]) -> None:
    """Espera a que el proceso termine, `GRACE_SECONDS` como mucho."""
    with suppress(subprocess.TimeoutExpired):
        process.wait(GRACE_SECONDS)
