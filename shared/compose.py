"""Levantar y bajar el docker compose de una clase, y decir qué direcciones abrir."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

from shared.commands import run_command
from shared.errors import ToolError

NOTE_LABEL = "labs.nota"
"""Etiqueta de un servicio con una frase para quien lo abre."""


def compose_up(folder: Path) -> list[str]:
    """Construye y levanta una clase, espera a que esté sana y devuelve las líneas que dicen qué abrir.

    Raises:
        ToolError: si no hay Docker, la clase no tiene compose o un servicio no llega a estar sano.
    """
    compose = _compose(folder)
    run_command([*compose, "up", "--build", "--wait"])
    return describe_services(compose)


def compose_down(folder: Path, *, volumes: bool) -> None:
    """Baja una clase; con `volumes`, borra también sus datos.

    Raises:
        ToolError: si no hay Docker o la clase no tiene compose.
    """
    run_command([*_compose(folder), "down", "--remove-orphans", *(["--volumes"] if volumes else [])])


def describe_services(compose: list[str]) -> list[str]:
    """Una línea por puerto publicado, y las notas de cada servicio."""
    config = json.loads(_read(*compose, "config", "--format", "json"))
    lines = []
    for container in _containers(_read(*compose, "ps", "--format", "json")):
        for publisher in container.get("Publishers") or []:
            if publisher.get("PublishedPort"):
                lines.append(f"{container['Service']}: http://{publisher['URL']}:{publisher['PublishedPort']}")
        note = config["services"][container["Service"]].get("labels", {}).get(NOTE_LABEL)
        if note:
            lines.append(f"{container['Service']}: {note}")
    return lines


def _containers(output: str) -> list[dict[str, Any]]:
    """Contenedores de `docker compose ps`: según la versión, una lista o un objeto por línea."""
    parsed = [json.loads(line) for line in output.splitlines() if line.strip()]
    return parsed[0] if parsed and isinstance(parsed[0], list) else parsed


def _compose(folder: Path) -> list[str]:
    if not (folder / "docker-compose.yml").is_file():
        raise ToolError(f"`{folder.name}` no tiene docker-compose.yml.", next_step="Use `labs run` en su lugar.")
    if shutil.which("docker") is None:
        raise ToolError(
            "No encuentro Docker.",
            why="Es un segundo camino: ningún laboratorio lo necesita.",
            next_step="Use `labs run`, o instálelo desde https://docs.docker.com/get-docker",
        )
    return ["docker", "compose", "--project-directory", str(folder)]


def _read(*command: str) -> str:
    result = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    if result.returncode:
        raise ToolError("Docker Compose no contesta.", why=result.stderr.strip(), next_step="Revise: `labs doctor`")
    return result.stdout
