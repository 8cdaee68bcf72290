"""Compara las búsquedas registradas: una tabla y una figura, en HTML y PNG.

python clase3_mlflow/compare_runs.py --filter "metrics.cv_f1 > 0.8"
"""

from __future__ import annotations

from itertools import cycle
from pathlib import Path
from typing import Annotated

import mlflow
import pandas as pd
import typer
from jinja2 import Environment, FileSystemLoader
from matplotlib.figure import Figure

from clase3_mlflow.experiment import EXPERIMENT, FINISHED, OUTPUTS, SEARCHES, TRACK, tracking
from shared.commands import run_script
from shared.errors import DataError
from shared.outputs import replace_folder
from shared.plots import DPI

COMPARISON = OUTPUTS / "comparacion"
COLUMNS = {
    "tags.title": "Familia",
    "metrics.cv_f1": "F1 CV",
    "metrics.cv_f1_std": "±",
    "metrics.cv_roc_auc": "AUC CV",
    "metrics.test_f1": "F1 prueba",
    "metrics.test_f1_low": "desde",
    "metrics.test_f1_high": "hasta",
    "metrics.search_seconds": "s",
    "run_id": "Ejecución",
}


def find_runs(condition: str) -> pd.DataFrame:
    """Las búsquedas que cumplen una condición de MLflow, de mejor a peor F1 en validación cruzada: (n, columnas).

    Raises:
        DataError: si la condición no se entiende o no la cumple ninguna.
    """
    query = " and ".join(part for part in (SEARCHES, FINISHED, condition) if part)
    try:
        runs = mlflow.search_runs(experiment_names=[EXPERIMENT], filter_string=query, order_by=["metrics.cv_f1 DESC"])
    except mlflow.MlflowException as error:
        if error.error_code != "INVALID_PARAMETER_VALUE":
            raise
        example = "Un ejemplo: `--filter \"metrics.cv_f1 > 0.8 and tags.family = 'svm'\"`"
        raise DataError(f"MLflow no entiende el filtro «{condition}».", why=f"{error}.", next_step=example) from error
    if runs.empty and not condition:
        raise DataError(f"En el experimento «{EXPERIMENT}» no hay ninguna búsqueda terminada.", next_step=TRACK)
    if runs.empty:
        raise DataError(f"Ninguna búsqueda cumple «{condition}».", next_step="Pruebe una condición menos estricta.")
    return runs


def find_candidates(runs: pd.DataFrame) -> pd.DataFrame:
    """Las combinaciones que probó cada búsqueda, con el título de su familia."""
    titles = runs.set_index("run_id")["tags.title"]
    nested = mlflow.search_runs(experiment_names=[EXPERIMENT], filter_string="tags.`mlflow.parentRunId` != ''")
    nested = nested[nested["tags.mlflow.parentRunId"].isin(titles.index)]
    return nested.assign(title=nested["tags.mlflow.parentRunId"].map(titles))


def plot_candidates(candidates: pd.DataFrame) -> Figure:
    """F1 de cada combinación contra lo que tarda en entrenarse; la barra es su desviación entre particiones."""
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    for marker, (title, group) in zip(cycle("osD^vPX"), candidates.groupby("title", sort=True), strict=False):
        milliseconds, scores = group["metrics.fit_seconds"] * 1000, group["metrics.cv_f1"]
        axes.errorbar(milliseconds, scores, yerr=group["metrics.cv_f1_std"], fmt=marker, capsize=2, label=title)
    axes.set(xlabel="Milisegundos por entrenamiento", ylabel="F1 en validación cruzada (± desviación)", xlim=(0, None))
    figure.legend(loc="outside upper center", ncols=2)
    return figure


def tidy(runs: pd.DataFrame) -> pd.DataFrame:
    """Las columnas que se leen, con sus nombres en español y los números ya redondeados."""
    table = runs.reindex(columns=list(COLUMNS)).rename(columns=COLUMNS)
    numbers = {name: table[name].map("{:.3f}".format) for name in table.columns if table[name].dtype.kind == "f"}
    return table.assign(**numbers, Ejecución=table["Ejecución"].str[:8])


def write_comparison(folder: Path, table: pd.DataFrame, figure: Figure, condition: str) -> None:
    """Escribe la tabla en CSV y HTML, y la figura en PNG; o todo, o nada."""
    templates = Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=True)
    with replace_folder(folder) as staging:
        figure.savefig(staging / "comparacion.png", dpi=DPI)
        table.to_csv(staging / "comparacion.csv", index=False)
        page = templates.get_template("comparacion.html.j2").render(table=table, condition=condition)
        (staging / "comparacion.html").write_text(page, encoding="utf-8")


def main(
    condition: Annotated[str, typer.Option("--filter", help="Condición de MLflow (filter_string).")] = "",
    output: Annotated[
        Path, typer.Option(help="Carpeta de la tabla y la figura.", show_default="salidas/comparacion")
    ] = OUTPUTS / "comparacion",
) -> None:
    """Compara las búsquedas registradas: una tabla y una figura, en HTML y PNG."""
    with tracking():
        runs = find_runs(condition)
        candidates = find_candidates(runs)
    table = tidy(runs)
    write_comparison(output, table, plot_candidates(candidates), condition)
    typer.echo(table.to_string(index=False))
    typer.echo(f"Escrito en {output}")


if __name__ == "__main__":
    run_script(main)
