"""Revisión de la máquina: qué hace falta, qué conviene y la orden que arregla cada cosa."""

from __future__ import annotations

import locale
import os
import platform
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from shared import ROOT

GIB = 2**30
MIN_MEMORY_GIB = 4
MIN_DISK_GIB = 5
DEFAULT_PORTS = {
    3000: "Grafana",
    5001: "MLflow",
    5050: "servidor simple",
    5432: "PostgreSQL",
    6379: "Redis",
    8000: "API",
    8080: "Airflow",
    8081: "WordPress",
    8501: "servicio de vinos",
    8888: "JupyterLab",
    9000: "MinIO",
    9001: "consola de MinIO",
    9090: "Prometheus",
}
DOCKER_TIMEOUT_SECONDS = 10


@dataclass(frozen=True)
class Check:
    """Resultado de una revisión.

    Attributes:
        subject: qué se miró.
        status: `ok`; `aviso`, si solo limita; `problema`, si los laboratorios no funcionan así.
        found: qué se encontró.
        remedy: cómo se arregla, con su orden; vacío si no hace falta.
    """

    subject: str
    status: Literal["ok", "aviso", "problema"]
    found: str
    remedy: str = ""


def run_checks() -> Iterator[Check]:
    """Hace todas las revisiones, una tras otra."""
    yield check_python()
    yield check_platform()
    yield check_memory()
    yield check_disk()
    yield check_encoding()
    yield check_docker()
    yield check_compose()
    yield check_ports()


def check_python() -> Check:
    """Versión de Python del entorno."""
    found = f"{platform.python_version()} en {sys.prefix}"
    if (3, 10) <= sys.version_info[:2] <= (3, 13):
        return Check("Python", "ok", found)
    return Check("Python", "problema", found, "Hace falta Python 3.10 a 3.13: LABS_PYTHON=/ruta/a/python3.12 ./labs")


def check_platform() -> Check:
    """Sistema y arquitectura: los servicios embebidos existen para Linux y macOS, en x86-64 y ARM de 64 bits."""
    system, machine = platform.system(), platform.machine()
    found = f"{system} {machine}"
    if system not in ("Linux", "Darwin"):
        return Check("Sistema", "problema", found, "En Windows, trabaje dentro de WSL 2: wsl --install")
    if machine.lower() not in ("x86_64", "amd64", "aarch64", "arm64"):
        return Check("Sistema", "aviso", found, "Los servicios embebidos no existen para esta arquitectura: use Docker")
    return Check("Sistema", "ok", found)


def check_memory() -> Check:
    """Memoria física."""
    import psutil

    total = psutil.virtual_memory().total / GIB
    if total >= MIN_MEMORY_GIB:
        return Check("Memoria", "ok", f"{total:.1f} GiB")
    return Check(
        "Memoria", "aviso", f"{total:.1f} GiB", f"Con menos de {MIN_MEMORY_GIB} GiB, ejecute una clase cada vez"
    )


def check_disk() -> Check:
    """Espacio libre donde está el clon."""
    free = shutil.disk_usage(ROOT).free / GIB
    if free >= MIN_DISK_GIB:
        return Check("Disco", "ok", f"{free:.1f} GiB libres")
    status: Literal["aviso", "problema"] = "problema" if free < 0.5 else "aviso"
    return Check(
        "Disco", status, f"{free:.1f} GiB libres", f"Libere espacio hasta {MIN_DISK_GIB} GiB: du -sh ~/* | sort -h"
    )


def check_encoding() -> Check:
    """Codificación de la terminal y de los archivos."""
    encoding = (sys.stdout.encoding or "").lower().replace("-", "")
    found = f"{sys.stdout.encoding}, {locale.getlocale()[0] or 'C'}"
    if encoding == "utf8" and locale.getpreferredencoding(False).lower().replace("-", "") == "utf8":
        return Check("Codificación", "ok", found)
    return Check("Codificación", "aviso", found, "export LANG=C.UTF-8 PYTHONUTF8=1")


def check_docker() -> Check:
    """Motor de Docker; ningún laboratorio lo necesita."""
    if shutil.which("docker") is None:
        return Check("Docker", "aviso", "no está", "Opcional; se instala desde https://docs.docker.com/get-docker")
    version = _output("docker", "version", "--format", "{{.Server.Version}}")
    if version:
        return Check("Docker", "ok", f"motor {version}")
    remedy = (
        "open -a Docker" if platform.system() == "Darwin" else "sudo systemctl start docker; groups (¿está docker?)"
    )
    return Check("Docker", "aviso", "está, pero el motor no contesta", f"Opcional; arránquelo: {remedy}")


def check_compose() -> Check:
    """Complemento compose de Docker."""
    version = _output("docker", "compose", "version", "--short") if shutil.which("docker") else ""
    if version:
        return Check("docker compose", "ok", version)
    return Check(
        "docker compose", "aviso", "no está", "Opcional; en Debian y Ubuntu: sudo apt install docker-compose-v2"
    )


def check_ports() -> Check:
    """Puertos por defecto; los servicios embebidos toman otro, y los de Docker se cambian por variable."""
    busy = [f"{port} ({name})" for port, name in DEFAULT_PORTS.items() if _is_busy(port)]
    if not busy:
        return Check("Puertos", "ok", f"los {len(DEFAULT_PORTS)} por defecto están libres")
    remedy = "Con Docker, cámbielos en el .env de la clase (vea su .env.example)"
    return Check("Puertos", "aviso", f"ocupados: {', '.join(busy)}", remedy)


def _is_busy(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.settimeout(0.5)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _output(*command: str) -> str:
    """Lo que escribe una orden, o cadena vacía si falla o no contesta a tiempo."""
    environment = {**os.environ, "LC_ALL": "C"}
    try:
        result = subprocess.run(  # noqa: S603
            command, capture_output=True, text=True, timeout=DOCKER_TIMEOUT_SECONDS, env=environment, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return result.stdout.strip() if result.returncode == 0 else ""
