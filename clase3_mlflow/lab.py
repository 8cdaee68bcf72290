"""Ejecuta el laboratorio de la clase 3 y escribe su pieza del informe.

python clase3_mlflow/lab.py
"""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd
import typer

from clase3_mlflow.experiment import tracking
from shared.commands import run_script
from shared.registry import CHAMPION, MODEL_NAME, all_versions
from shared.report import Figure, Table
from shared.services import services_in_background
from shared.settings import get_settings
from shared.stage import Stage

HERE = Path(__file__).resolve().parent
OUTPUTS = get_settings().outputs(HERE.name)
COMPARISON = OUTPUTS / "lab"
"""Carpeta propia: el laboratorio no toca lo que cada quien ejecute por su cuenta."""
STEPS = ("track_experiments.py", "register_model.py", "load_champion.py")
ALT = "F1 en validación cruzada contra tiempo de entrenamiento, un punto por combinación"
INTERFACE = "La interfaz, con todo lo registrado: `./labs services mlflow`, y abra la dirección que muestra."


def comparison_table(runs: pd.DataFrame) -> Table:
    """Las búsquedas del servidor, de mejor a peor."""
    return Table(
        title="Experimentos, de mejor a peor F1 en validación cruzada",
        columns=[*runs.columns],
        rows=runs.values.tolist(),
    )


def versions_table() -> Table:
    """Las versiones del modelo registrado, con sus alias y lo que se decidió de cada una."""
    with tracking() as client:
        rows = [
            [version.version, aliases, version.tags["cv_f1"], version.tags.get("reason", "")]
            for version, aliases in all_versions(client)
        ]
    return Table(title=f"Versiones de {MODEL_NAME}", columns=["Versión", "Alias", "F1 CV", "Decisión"], rows=rows)


def summary_lines(runs: pd.DataFrame, versions: Table) -> list[str]:
    """Las frases del informe, con los números de esta ejecución."""
    best = runs.iloc[0]
    [champion] = [row for row in versions.rows if CHAMPION in str(row[1])]
    return [
        f"{len(runs)} búsquedas registradas; la de mejor F1 en validación cruzada: {best['Familia']}, {best['F1 CV']}.",
        f"{MODEL_NAME}@{CHAMPION} es la versión {champion[0]}, con F1 {champion[2]}. Decisión: {champion[3]}.",
        INTERFACE,
    ]


def main() -> None:
    """Ejecuta el laboratorio de la clase 3 y escribe su pieza del informe."""
    stage = Stage("Clase 3: MLflow", OUTPUTS)
    with services_in_background(["mlflow"]):
        for script in STEPS:
            stage.run(sys.executable, HERE / script)
        stage.run(sys.executable, HERE / "compare_runs.py", "--output", COMPARISON)
        versions = versions_table()
    runs = pd.read_csv(COMPARISON / "comparacion.csv", dtype=str)
    lines = summary_lines(runs, versions)
    figure = Figure(path="lab/comparacion.png", caption="Cada combinación probada", alt=ALT)
    stage.finish(lines=lines, tables=[comparison_table(runs), versions], figures=[figure])
    typer.echo("\n".join(lines))


if __name__ == "__main__":
    run_script(main)
