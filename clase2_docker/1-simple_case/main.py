"""Saluda y dice dónde se ejecuta: así se ve qué cambia dentro de un contenedor.

python clase2_docker/1-simple_case/main.py
"""

from __future__ import annotations

import os
import platform
import socket
from pathlib import Path

CONTAINER_MARKS = (Path("/.dockerenv"), Path("/run/.containerenv"))
"""Archivos que Docker y Podman dejan en la raíz de sus contenedores."""


def describe_place() -> dict[str, str]:
    """Lo que un programa ve de la máquina en la que cree estar."""
    in_container = any(mark.exists() for mark in CONTAINER_MARKS)
    return {
        "Python": platform.python_version(),
        "Sistema": platform.system(),
        "Núcleo": platform.release(),
        "Máquina": socket.gethostname(),
        "Usuario": str(os.getuid()),
        "Proceso": str(os.getpid()),
        "Contenedor": "sí" if in_container else "no",
    }


def main() -> None:
    """Escribe el saludo y la descripción."""
    print("Hola, MLOps.")
    for name, value in describe_place().items():
        print(f"{name:<11}{value}")


if __name__ == "__main__":
    main()
