"""Ejecuta el laboratorio de la clase 1 y escribe su pieza del informe.

python clase1_buenas_practicas/lab.py
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import typer

from shared.commands import run_script
from shared.outputs import read_json
from shared.report import Figure, Table
from shared.settings import get_settings
from shared.stage import Stage

HERE = Path(__file__).resolve().parent
OUTPUTS = get_settings().outputs(HERE.name)
RUN = OUTPUTS / "lab"
"""Carpeta propia: el laboratorio no toca lo que cada quien ejecute por su cuenta."""
STEPS = ("etl.py", "train_model.py", "test_model.py")
METRICS = {"f1": "F1", "roc_auc": "AUC", "sensitivity": "Sensibilidad", "specificity": "Especificidad"}


def metrics_table(evaluation: dict[str, Any]) -> Table:
    """Tabla de métricas en prueba, con su intervalo y la referencia al lado."""
    rows: list[list[str | int | float]] = []
    for name, label in METRICS.items():
        value = evaluation["model"][name]
        interval = f"{value['low']:.3f} a {value['high']:.3f}"
        rows.append([label, f"{value['value']:.3f}", interval, f"{evaluation['baseline'][name]:.3f}"])
    columns = ["Métrica", "SVM", "IC 95 %", "Siempre «con enfermedad»"]
    return Table(title=f"Prueba: {evaluation['rows']} pacientes", columns=columns, rows=rows)


def summary_lines(etl: dict[str, Any], model: dict[str, Any], evaluation: dict[str, Any]) -> list[str]:
    """Las frases del informe, con los números de esta ejecución."""
    f1, auc, rows = evaluation["model"]["f1"], evaluation["model"]["roc_auc"], etl["rows"]
    return [
        f"{rows['read']} pacientes: {rows['train']} de entrenamiento y {rows['test']} de prueba.",
        f"F1 en validación cruzada: {model['best']['f1_mean']:.3f} ± {model['best']['f1_std']:.3f}.",
        f"F1 en prueba: {f1['value']:.3f}, intervalo del 95 % de {f1['low']:.3f} a {f1['high']:.3f}.",
        f"AUC en prueba: {auc['value']:.3f}, intervalo del 95 % de {auc['low']:.3f} a {auc['high']:.3f}.",
    ]


def evaluation_figures() -> list[Figure]:
    """Las dos figuras de la evaluación, relativas a la carpeta de salidas."""
    folder = (RUN / "evaluacion").relative_to(OUTPUTS)
    roc = Figure(path=str(folder / "roc.png"), caption="Curva ROC en prueba", alt="Curva ROC por encima del azar")
    cells = "Recuento de aciertos y errores de cada clase"
    return [roc, Figure(path=str(folder / "confusion.png"), caption="Matriz de confusión en prueba", alt=cells)]


def main() -> None:
    """Ejecuta el laboratorio de la clase 1 y escribe su pieza del informe."""
    stage = Stage("Clase 1: buenas prácticas", OUTPUTS)
    for script in STEPS:
        stage.run(sys.executable, HERE / script, "--output", RUN, "--force")
    records = [RUN / "datos" / "etl.json", RUN / "modelo" / "model.json", RUN / "evaluacion" / "evaluation.json"]
    etl, model, evaluation = (read_json(path, next_step="Repita: `labs run clase1`") for path in records)
    lines = summary_lines(etl, model, evaluation)
    stage.finish(lines=lines, tables=[metrics_table(evaluation)], figures=evaluation_figures())
    typer.echo("\n".join(lines))


if __name__ == "__main__":
    run_script(main)
