"""Lista, descarga, comprueba y borra lo que hay en el servidor de MLflow.

python clase3_mlflow/manage_artifacts.py list
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import mlflow
import typer

from clase3_mlflow.artifacts import (
    ANY,
    deleted_runs,
    files_of,
    find_run,
    missing_files,
    model_ids,
    registered_version,
)
from clase3_mlflow.experiment import OUTPUTS, find_searches, tracking
from shared.commands import run_app, run_command
from shared.errors import DataError, ServiceError
from shared.outputs import replace_folder
from shared.registry import MODEL_NAME, all_versions
from shared.settings import get_settings
from shared.spanish import SpanishCommand, SpanishGroup

app = typer.Typer(
    cls=SpanishGroup,
    help=__doc__.splitlines()[0],
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
DOWNLOADS = OUTPUTS / "descargas"
RunId = Annotated[str, typer.Argument(help="Identificador de la ejecución; bastan sus primeras letras.")]


@app.command("list", cls=SpanishCommand)
def list_runs() -> None:
    """Muestra cada búsqueda, sus archivos y lo que ocupan."""
    with tracking() as client:
        total = 0
        for run in find_searches(client, ANY):
            groups = files_of(run)
            size = sum(file.size for files in groups.values() for file in files)
            total += size
            status = "" if run.info.status == "FINISHED" else f"  {run.info.status}"
            typer.echo(f"{run.info.run_id[:8]}  {run.data.tags['family']:<9}{size / 1000:>8.0f} kB{status}")
            for files in groups.values():
                for file in sorted(files, key=lambda file: -file.size):
                    typer.echo(f"    {file.size / 1000:>8.1f} kB  {file.name}")
    typer.echo(f"En total, {total / 1000:.0f} kB.")


@app.command("versions", cls=SpanishCommand)
def list_versions() -> None:
    """Muestra las versiones registradas, sus alias y lo que se decidió de cada una."""
    with tracking() as client:
        versions = all_versions(client)
    for version, aliases in versions:
        typer.echo(f"versión {version.version}  {aliases:<10}  {version.tags.get('reason', '')}")
    if not versions:
        typer.echo(f"No hay versiones de «{MODEL_NAME}». Registre una: `python clase3_mlflow/register_model.py`")


@app.command(cls=SpanishCommand)
def download(
    run_id: RunId,
    output: Annotated[Path, typer.Option(help="Carpeta de destino.", show_default="salidas/descargas")] = OUTPUTS
    / "descargas",
) -> None:
    """Descarga los archivos de una búsqueda y su modelo."""
    with tracking() as client:
        run = find_run(client, run_id)
        folder = output / run.info.run_id[:8]
        with replace_folder(folder) as staging:
            client.download_artifacts(run.info.run_id, "", str(staging))
            for model_id in model_ids(run):
                target = staging / "modelo"
                target.mkdir()
                mlflow.artifacts.download_artifacts(artifact_uri=f"models:/{model_id}", dst_path=str(target))
    typer.echo(f"Descargado en {folder}")


@app.command(cls=SpanishCommand)
def check() -> None:
    """Comprueba que todo lo anotado sigue en el almacén."""
    with tracking() as client:
        problems = missing_files(client, find_searches(client))
    if problems:
        typer.echo("\n".join(problems))
        raise ServiceError(
            f"Faltan archivos: {len(problems)}.", next_step="Regístrelos de nuevo, o borre lo que los nombra."
        )
    typer.echo("Todo lo anotado está en el almacén.")


@app.command(cls=SpanishCommand)
def delete(run_id: RunId) -> None:
    """Marca una búsqueda como borrada; hasta `gc`, se puede recuperar en la interfaz."""
    with tracking() as client:
        run = find_run(client, run_id)
        if version := registered_version(client, run.info.run_id):
            raise DataError(
                f"La versión {version} de «{MODEL_NAME}» usa el modelo de esa búsqueda.",
                next_step="Borre antes esa versión en la interfaz, si nadie la necesita.",
            )
        nested = client.search_runs([run.info.experiment_id], f"tags.`mlflow.parentRunId` = '{run.info.run_id}'")
        for each in (run, *nested):
            client.delete_run(each.info.run_id)
    typer.echo(f"Marcada como borrada, con sus {len(nested)} combinaciones. Sus archivos siguen ahí hasta «gc».")


@app.command(cls=SpanishCommand)
def gc(
    store: Annotated[
        str, typer.Option("--backend-store-uri", help="Base de datos del servidor; sin decirla, la del embebido.")
    ] = "",
) -> None:
    """Borra sin vuelta atrás lo que está marcado como borrado."""
    settings = get_settings()
    database = store or f"sqlite:///{settings.labs_home.resolve() / 'mlflow' / 'mlflow.db'}"
    with tracking() as client:
        # Un modelo borrado ya no se recupera: no se marca hasta que se va a limpiar.
        for model_id in [model_id for run in deleted_runs(client) for model_id in model_ids(run)]:
            client.delete_logged_model(model_id)
        if settings.mlflow_tracking_uri and not store:
            raise ServiceError(
                "No sé cuál es la base de datos del servidor de `MLFLOW_TRACKING_URI`, y la limpieza la necesita.",
                next_step="Dígala con `--backend-store-uri`; con Docker, la orden está en el README de la clase.",
            )
        location = ["--backend-store-uri", database, "--tracking-uri", mlflow.get_tracking_uri()]
        run_command([sys.executable, "-m", "mlflow", "gc", *location])
        left = deleted_runs(client)
    if left:
        raise ServiceError(
            f"Siguen ahí {len(left)} ejecuciones marcadas como borradas.",
            next_step=f"¿Es `{database}` la base de datos de ese servidor?",
        )
    typer.echo("No queda nada marcado como borrado.")


if __name__ == "__main__":
    run_app(app)
