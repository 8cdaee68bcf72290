"""Ejecuta el laboratorio de la clase 2 y escribe su pieza del informe.

python clase2_docker/lab.py
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
SERVICE = HERE / "4-mini-model-service"
OUTPUTS = get_settings().outputs(HERE.name)
RUN = OUTPUTS / "lab"
"""Carpeta propia: el laboratorio no toca lo que cada quien ejecute por su cuenta."""
TREES = 100
"""Árboles por modelo en el entrenamiento distribuido: la mitad de lo habitual, para que quepa en una demostración."""


def predictions_table(demo: dict[str, Any]) -> Table:
    """Los vinos que se enviaron al servicio y lo que quedó guardado de cada uno."""
    rows = [
        [row["id"], row["score"], row["real"], row["predicted"], f"{row['probability']:.0%}"]
        for row in demo["predictions"]
    ]
    columns = ["N.º", "Nota de los catadores", "Calidad", "Predicha", "Probabilidad"]
    return Table(title="Guardadas en PostgreSQL y leídas del historial", columns=columns, rows=rows)


def timings_table(timings: list[dict[str, Any]]) -> Table:
    """Lo que tardó cada forma de repartir la misma búsqueda."""
    rows = [
        [
            each["way"],
            each["workers"],
            f"{each['seconds']:.1f}",
            f"{each['startup_seconds']:.1f}",
            f"{each['speedup']:.2f}",
            f"{each['efficiency']:.0%}",
        ]
        for each in timings
    ]
    columns = ["Forma", "Procesos", "Segundos", "Arranque (s)", "Aceleración", "Eficiencia"]
    return Table(title="La misma búsqueda, repartida", columns=columns, rows=rows)


def summary_lines(model: dict[str, Any], demo: dict[str, Any], timings: list[dict[str, Any]]) -> list[str]:
    """Las frases del informe, con los números de esta ejecución."""
    accuracy, baseline = model["test"]["accuracy"], model["baseline"]["accuracy"]["value"]
    gains = " y ".join(f"{each['speedup']:.2f} con {each['way']}" for each in timings[1:])
    return [
        f"Calidad del vino: acierta {accuracy['value']:.0%} en prueba (intervalo del 95 %: {accuracy['low']:.0%} a "
        f"{accuracy['high']:.0%}); decir siempre la clase más frecuente, {baseline:.0%}.",
        f"{demo['wines']} predicciones guardadas en PostgreSQL y leídas del historial.",
        f"Aceleración al repartir la búsqueda en {timings[1]['workers']} procesos: {gains}.",
    ]


def main() -> None:
    """Ejecuta el laboratorio de la clase 2 y escribe su pieza del informe."""
    stage = Stage("Clase 2: desarrollo de modelos y Docker", OUTPUTS)
    stage.run(sys.executable, SERVICE / "train.py", "--output", RUN / "modelo", "--force")
    stage.run(sys.executable, SERVICE / "demo.py", "--model", RUN / "modelo")
    stage.run(sys.executable, HERE / "train_distributed.py", "--output", RUN, "--trees", str(TREES), "--force")
    records = [RUN / "modelo" / "model.json", RUN / "demo.json", RUN / "distribuido" / "resultados.json"]
    model, demo, distributed = (read_json(path, next_step="Repita: `labs run clase2`") for path in records)
    timings = distributed["ways"]
    lines = summary_lines(model, demo, timings)
    history = Figure(
        path="lab/history.png", caption="Historial del servicio", alt="Probabilidad de cada calidad por vino"
    )
    times = Figure(path="lab/distribuido/tiempos.png", caption="Tiempo de cada forma", alt="Segundos de cada forma")
    stage.finish(lines=lines, tables=[predictions_table(demo), timings_table(timings)], figures=[history, times])
    typer.echo("\n".join(lines))


if __name__ == "__main__":
    run_script(main)
