"""Servidor web mínimo: una página, su salud y dónde se ejecuta.

flask --app clase2_docker/2-simple_server/app run --port 5050
"""

from __future__ import annotations

import os
import platform
import socket
from pathlib import Path

from flask import Flask, render_template

app = Flask(__name__)


def describe_place() -> dict[str, str | int | bool]:
    """Qué proceso responde, y dónde."""
    return {
        "python": platform.python_version(),
        "host": socket.gethostname(),
        "user_id": os.getuid(),
        "process_id": os.getpid(),
        "container": Path("/.dockerenv").exists(),
    }


@app.get("/")
def home() -> str:
    """La página de inicio."""
    return render_template("inicio.html", place=describe_place())


@app.get("/health")
def health() -> dict[str, str]:
    """Si el servidor responde; la consulta Docker cada poco."""
    return {"status": "ok"}


@app.get("/info")
def info() -> dict[str, str | int | bool]:
    """Lo mismo que la página, para otro programa."""
    return describe_place()
