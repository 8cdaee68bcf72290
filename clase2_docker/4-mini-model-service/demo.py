"""Usa el servicio como lo haría otro programa: envía vinos reales por HTTP y los lee del historial.

python clase2_docker/4-mini-model-service/demo.py
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlencode
from urllib.request import urlopen

import pandas as pd
import typer
from flask import Flask
from matplotlib.figure import Figure

from app import ensure_model, listening
from database import Database
from forms import show_measures
from predictor import CLASSES, FEATURES, MODEL_FOLDER, Predictor
from shared.commands import run_script
from shared.datasets import WINE_TARGET
from shared.errors import ServiceError
from shared.outputs import write_json
from shared.services import postgres
from train import label_quality, split_wines
from web import create_app

COLORS = {"baja": "#e0b18c", "media": "#c4617f", "alta": "#611437"}
HEADER = ("N.º", "nota", "real", "predicha", "probabilidad")
TIMEOUT_SECONDS = 10


@contextmanager
def serving(app: Flask) -> Iterator[str]:
    """Sirve la aplicación en otro hilo mientras dura el bloque, y da su dirección."""
    logging.getLogger("werkzeug").setLevel(logging.WARNING)  # Si no, escribe una línea por petición.
    with listening(app, port=0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.port}"
        finally:
            server.shutdown()
            thread.join()


def send_wine(url: str, measures: dict[str, float]) -> int:
    """Envía el formulario y devuelve el número de la predicción, que está en la dirección a la que lleva."""
    body = urlencode(show_measures(measures)).encode()
    with urlopen(url, data=body, timeout=TIMEOUT_SECONDS) as response:  # noqa: S310
        return int(response.url.rsplit("/", 1)[-1])


def read_back(url: str, numbers: list[int]) -> list[dict[str, Any]]:
    """Lee el historial y devuelve esas predicciones, en su orden.

    Raises:
        ServiceError: si falta alguna.
    """
    with urlopen(f"{url}/historial.json", timeout=TIMEOUT_SECONDS) as response:  # noqa: S310
        stored = {item["id"]: item for item in json.load(response)["predictions"]}
    if missing := [number for number in numbers if number not in stored]:
        raise ServiceError(f"El historial no tiene las predicciones {missing}.")
    return [stored[number] for number in numbers]


def compare(wines: pd.DataFrame, stored: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Una fila por vino: la nota de los catadores y lo que quedó guardado."""
    return [
        {
            "id": item["id"],
            "score": int(score),
            "real": real,
            "predicted": item["quality"],
            "probability": round(item["probabilities"][item["quality"]], 4),
        }
        for score, real, item in zip(wines[WINE_TARGET], label_quality(wines[WINE_TARGET]), stored, strict=True)
    ]


def plot_history(stored: list[dict[str, Any]]) -> Figure:
    """La figura del historial, para el informe: una barra por vino, dividida por la probabilidad de cada clase."""
    figure = Figure(figsize=(6, 3.2), layout="constrained")
    axes = figure.subplots()
    labels = [str(item["id"]) for item in stored]
    bottom = [0.0] * len(stored)
    for name in CLASSES:
        shares = [item["probabilities"][name] for item in stored]
        axes.bar(labels, shares, bottom=bottom, color=COLORS[name], label=name)
        bottom = [below + share for below, share in zip(bottom, shares, strict=True)]
    axes.set(xlabel="Número de la predicción", ylabel="Probabilidad", ylim=(0, 1))
    figure.legend(title="Calidad", loc="outside right center", reverse=True)
    return figure


def main(
    wines: Annotated[int, typer.Option(min=1, max=20, help="Vinos que se envían.")] = 8,
    model: Annotated[Path, typer.Option(help="Carpeta del modelo.", show_default="salidas")] = MODEL_FOLDER,
) -> None:
    """Envía vinos reales al servicio, en PostgreSQL embebido, y los lee del historial."""
    ensure_model(model)
    predictor = Predictor(model)
    sample = split_wines(seed=predictor.record["parameters"]["seed"])[1].head(wines)
    with postgres.running() as endpoint, serving(create_app(predictor, Database(endpoint.url))) as url:
        numbers = [send_wine(url, measures) for measures in sample[FEATURES].to_dict("records")]
        stored = read_back(url, numbers)
    rows = compare(sample, stored)
    hits = sum(row["real"] == row["predicted"] for row in rows)
    plot_history(stored).savefig(model.parent / "history.png", dpi=120)
    write_json(model.parent / "demo.json", {"wines": len(rows), "hits": hits, "predictions": rows})
    typer.echo(pd.DataFrame(rows).to_string(index=False, header=list(HEADER)))
    typer.echo(f"{len(rows)} predicciones guardadas y leídas; aciertos: {hits}. Escrito en {model.parent}")


if __name__ == "__main__":
    run_script(main)
