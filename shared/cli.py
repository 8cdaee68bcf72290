"""La orden «labs»: ejecuta las órdenes nativas de cada clase, y las muestra."""

from __future__ import annotations

import itertools
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from shared import ROOT
from shared.catalog import LabClass, find_class, find_classes
from shared.commands import become_command, display_command, run_app, run_command
from shared.errors import LabError
from shared.spanish import SpanishCommand, SpanishGroup

if TYPE_CHECKING:
    from shared.report import Report

# Las importaciones pesadas van dentro de cada orden: así «labs --help» contesta enseguida.

EVERYTHING = "todo"
"""Extra que reúne los de todas las clases."""
REPORT = "informe.html"
MAX_TEST_WORKERS = 4
MAX_TEST_SECONDS = 600
"""Lo que puede tardar una prueba con lo que prepara: la más larga construye imágenes de Docker en una red lenta."""

app = typer.Typer(
    name="labs",
    cls=SpanishGroup,
    help="Laboratorios de Operaciones de Aprendizaje Automático I.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
console = Console(highlight=False)


def complete_class(incomplete: str) -> list[str]:
    """Nombres de clase que empiezan así, para el autocompletado."""
    return [lab.name for lab in find_classes() if lab.name.startswith(incomplete)]


OneClass = Annotated[str, typer.Argument(metavar="CLASE", help="clase1, o 1.", autocompletion=complete_class)]
SomeClasses = Annotated[
    list[str] | None, typer.Argument(metavar="[CLASE]...", help="Todas, si no se dice.", autocompletion=complete_class)
]


@app.command("list", cls=SpanishCommand)
def list_classes() -> None:
    """Muestra las clases: qué enseñan, cuánto llevan y si están instaladas."""
    from shared.install import missing_requirements

    table = Table(box=None, padding=(0, 2, 0, 0))
    for column in ("Clase", "Qué enseña", "Minutos", "Instalada"):
        table.add_column(column, justify="right" if column == "Minutos" else "left")
    for lab in find_classes():
        installed = "no" if missing_requirements(lab.name) else "sí"
        table.add_row(lab.name, f"{lab.title}. {lab.teaches}", str(lab.minutes), installed)
    console.print(table)


@app.command(cls=SpanishCommand)
def doctor() -> None:
    """Revisa la máquina y dice cómo arreglar lo que falte."""
    from shared.doctor import run_checks

    checks = list(run_checks())
    table = Table(box=None, padding=(0, 2, 0, 0))
    for column in ("", "Revisión", "Resultado"):
        table.add_column(column, overflow="fold")
    colors = {"ok": "green", "aviso": "yellow", "problema": "bold red"}
    for check in checks:
        found = f"{check.found}\n→ {check.remedy}" if check.remedy else check.found
        table.add_row(f"[{colors[check.status]}]{check.status}[/]", check.subject, found)
    console.print(table)
    if any(check.status == "problema" for check in checks):
        raise LabError("Falta algo que los laboratorios necesitan.", next_step="Haga lo que dice cada flecha (→).")


@app.command(cls=SpanishCommand, context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def run(context: typer.Context, lab_class: OneClass) -> None:
    """Ejecuta el laboratorio de una clase; lo que siga a la clase pasa a su programa."""
    from shared.install import ensure_extra

    lab = find_class(lab_class)
    ensure_extra(lab.name)
    run_command([sys.executable, lab.folder / "lab.py", *context.args])


@app.command(cls=SpanishCommand)
def demo(lab_classes: SomeClasses = None) -> None:
    """Ejecuta los laboratorios en orden y escribe un informe en HTML."""
    from shared.install import ensure_extra

    labs = [find_class(name) for name in lab_classes] if lab_classes else find_classes()
    for extra in [lab.name for lab in labs] if lab_classes else [EVERYTHING]:
        ensure_extra(extra)
    start = time.perf_counter()
    run_stages(labs)
    pieces, report = write_html_report(labs)
    print_summary(pieces, time.perf_counter() - start, report)


def run_stages(labs: list[LabClass]) -> None:
    """Ejecuta el `lab.py` de cada clase, con una barra de progreso por clases al pie."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("", total=len(labs))
        for lab in labs:
            progress.update(task, description=f"{lab.name}: {lab.title}")
            run_command(
                [sys.executable, lab.folder / "lab.py"],
                on_line=lambda line: progress.console.print(line, markup=False, soft_wrap=True),
            )
            progress.advance(task)


def write_html_report(labs: list[LabClass]) -> tuple[list[Report], Path]:
    """Une las piezas de las clases en un HTML; devuelve las piezas y su ruta."""
    from shared.report import read_report, render_html
    from shared.settings import get_settings

    settings = get_settings()
    folders = [settings.outputs(lab.folder.name) for lab in labs]
    pieces = [(read_report(folder), folder) for folder in folders]
    report = render_html(pieces, (settings.labs_outputs or ROOT / "salidas").resolve() / REPORT)
    return [piece for piece, _ in pieces], report


def print_summary(pieces: list[Report], seconds: float, report: Path) -> None:
    """Muestra las frases de cada clase, el tiempo en total y la ruta del informe."""
    console.print()
    for piece in pieces:
        console.print(f"[bold]{piece.title}[/] ({piece.seconds:.0f} s)")
        for line in piece.lines:
            console.print(f"  {line}", markup=False)
    console.print(f"\n{seconds:.0f} s en total. Informe: {report}", soft_wrap=True)


@app.command(cls=SpanishCommand)
def services(
    names: Annotated[list[str], typer.Argument(metavar="SERVICIO...", help="valkey, postgres, s3, mlflow o airflow.")],
) -> None:
    """Deja servicios embebidos encendidos hasta Ctrl-C, y escribe sus direcciones para otra terminal."""
    import shlex
    import time

    from shared.services import running_services
    from shared.services.lifecycle import check_running

    with running_services(names) as endpoints:
        for endpoint in endpoints:
            if endpoint.command:
                typer.echo(f"$ {display_command(endpoint.command)}", err=True)
            for name, value in endpoint.environment.items():
                typer.echo(f"export {name}={shlex.quote(value)}")
        sys.stdout.flush()
        typer.echo("Pegue esas líneas en otra terminal. Ctrl-C los detiene.", err=True)
        while True:
            time.sleep(1)
            for endpoint in endpoints:
                check_running(endpoint)


@app.command(cls=SpanishCommand)
def up(lab_class: OneClass) -> None:
    """Levanta una clase con Docker, espera a que esté sana y dice qué direcciones abrir."""
    from shared.compose import compose_up

    for line in compose_up(find_class(lab_class).folder):
        typer.echo(line)


@app.command(cls=SpanishCommand)
def down(
    lab_class: OneClass,
    volumes: Annotated[bool, typer.Option("--volumes", "-v", help="Borra también los datos de sus volúmenes.")] = False,
) -> None:
    """Baja una clase que se levantó con Docker; sus datos se conservan."""
    from shared.compose import compose_down

    compose_down(find_class(lab_class).folder, volumes=volumes)


@app.command(cls=SpanishCommand, context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def notebook(context: typer.Context, lab_class: OneClass) -> None:
    """Abre los cuadernos de una clase en JupyterLab; lo que siga a la clase pasa a Jupyter."""
    from shared.install import ensure_extra

    lab = find_class(lab_class)
    ensure_extra("notebooks")
    ensure_extra(lab.name)
    become_command([sys.executable, "-m", "jupyter", "lab", f"--notebook-dir={lab.folder}", *context.args])


@app.command(cls=SpanishCommand, context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
def test(
    arguments: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[CLASE]... [OPCIONES DE PYTEST]",
            help="Todas las clases, si no se dice.",
            autocompletion=complete_class,
        ),
    ] = None,
) -> None:
    """Ejecuta las pruebas, todas o las de unas clases; las opciones que sigan pasan a pytest."""
    from shared.install import ensure_extra

    names = list(itertools.takewhile(lambda word: not word.startswith("-"), arguments or []))
    options = [word for word in (arguments or [])[len(names) :] if word != "--"]
    folders = [Path("tests") / find_class(name).folder.name for name in names]
    ensure_extra(EVERYTHING)
    workers = [] if names else ["-n", str(min(os.cpu_count() or 1, MAX_TEST_WORKERS)), "--dist", "loadgroup"]
    limit = f"--timeout={MAX_TEST_SECONDS}"
    code = run_command([sys.executable, "-m", "pytest", *folders, *workers, limit, *options], check=False)
    raise typer.Exit(code)


@app.command(cls=SpanishCommand)
def lock(
    upgrade: Annotated[bool, typer.Option("--upgrade", help="Sube también lo que ya estaba fijado.")] = False,
) -> None:
    """Vuelve a fijar en constraints.txt las versiones de todas las dependencias, para cada Python."""
    from shared.install import ensure_extra, write_constraints

    ensure_extra("dev")
    write_constraints(upgrade=upgrade)


def main() -> None:
    """Punto de entrada de «labs»."""
    run_app(app, name="labs")


if __name__ == "__main__":
    main()
