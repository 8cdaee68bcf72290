"""Página que predice la calidad de un vino y guarda cada predicción en PostgreSQL.

python clase2_docker/4-mini-model-service/app.py
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Annotated

import typer
from flask import Flask
from werkzeug.serving import BaseWSGIServer, make_server

from database import Database
from predictor import MODEL_FILE, MODEL_FOLDER, Predictor
from shared.commands import run_script
from shared.errors import ServiceError
from shared.services import postgres
from web import create_app

PORT = 8501


def ensure_model(folder: Path = MODEL_FOLDER) -> None:
    """Entrena el modelo si no está; en la imagen lo hace su construcción."""
    if not (folder / MODEL_FILE).is_file():
        from train import main as train_model

        typer.echo("Aún no hay modelo: se entrena ahora, en unos segundos…")
        train_model(output=folder)


@contextmanager
def listening(app: Flask, port: int) -> Iterator[BaseWSGIServer]:
    """Da un servidor que ya tiene su puerto de 127.0.0.1.

    Es el de Werkzeug, con un hilo por petición: viene con Flask y basta para una persona. En el contenedor sirve
    gunicorn, que reparte el trabajo entre procesos y repone el que muera.

    Args:
        app: la aplicación.
        port: puerto; 0 toma uno libre.

    Raises:
        ServiceError: si el puerto está ocupado.
    """
    try:
        listener = socket.create_server(("127.0.0.1", port))
    except OSError as error:
        raise ServiceError(
            f"No puedo usar el puerto {port} de 127.0.0.1.",
            why=f"{error.strerror}.",
            next_step="Elija otro con `--port`, o deje que se tome uno libre con `--port 0`.",
        ) from error
    with closing(listener):
        server = make_server("127.0.0.1", port, app, threaded=True, fd=listener.fileno())
        with closing(server.socket):
            yield server


def main(
    port: Annotated[int, typer.Option(min=0, max=65535, help="Puerto de 127.0.0.1; 0 toma uno libre.")] = PORT,
) -> None:
    """Sirve la página con PostgreSQL embebido, o con el de `DATABASE_URL`, hasta que se pulse Ctrl-C."""
    ensure_model()
    with (
        postgres.running() as endpoint,
        listening(create_app(Predictor(), Database(endpoint.url)), port) as server,
    ):
        typer.echo(f"Página en http://127.0.0.1:{server.port}  (Ctrl-C para terminar)")
        server.serve_forever()
    typer.echo("Terminado.")


if __name__ == "__main__":
    run_script(main)
