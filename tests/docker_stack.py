"""Pilas de docker compose para las pruebas: proyecto y puertos propios, y nada que quede al terminar."""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path


def free_port() -> int:
    """Puerto de 127.0.0.1 que ahora está libre."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@dataclass(frozen=True)
class Stack:
    """Pila de compose de una carpeta.

    Attributes:
        folder: carpeta de `docker-compose.yml`.
        variables: las que cambian sus valores por defecto (puertos, usuario…).
        project: nombre de proyecto, distinto en cada prueba.
    """

    folder: Path
    variables: dict[str, str] = field(default_factory=dict)
    project: str = field(default_factory=lambda: f"prueba-{secrets.token_hex(4)}")

    def compose(self, *arguments: str) -> str:
        """Ejecuta `docker compose …` y devuelve su salida; si falla, muestra también los errores."""
        result = subprocess.run(
            ["docker", "compose", "--project-name", self.project, *arguments],
            cwd=self.folder,
            env={**os.environ, **self.variables},
            capture_output=True,
            text=True,
            check=False,
        )
        command = f"docker compose {' '.join(arguments)}"
        assert result.returncode == 0, f"{command}: {result.returncode}\n{result.stdout}\n{result.stderr}"
        return result.stdout

    def remove(self) -> None:
        """Borra los contenedores, los volúmenes y las imágenes de la pila."""
        self.compose("down", "--volumes", "--remove-orphans", "--rmi", "local")


@contextmanager
def running(stack: Stack) -> Iterator[Stack]:
    """Construye y levanta la pila hasta que está sana; al salir, borra contenedores, volúmenes e imágenes."""
    try:
        try:
            stack.compose("up", "--build", "--wait", "--quiet-pull")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{stack.compose('logs', '--no-color')}") from error
        yield stack
    finally:
        stack.remove()
