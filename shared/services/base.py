"""Qué es un servicio: un motor que se lanza con una orden, y una prueba de que responde."""

from __future__ import annotations

import http.client
import importlib
import importlib.util
import os
import signal
from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from shared.errors import ServiceError
from shared.services import SERVICES

if TYPE_CHECKING:
    from shared.settings import Settings

PROBE_SECONDS = 4.0
"""Lo que se espera una respuesta del servicio."""


@dataclass(frozen=True)
class Endpoint:
    """Dónde está un servicio.

    Attributes:
        name: uno de `SERVICES`.
        url: su dirección.
        environment: las variables con las que cada biblioteca y cada programa lo encuentran.
        command: la orden nativa que lo lanzó; vacía si no es embebido.
    """

    name: str
    url: str
    environment: dict[str, str]
    command: tuple[str, ...] = field(default=(), compare=False)


@dataclass(frozen=True)
class Launch:
    """Cómo se lanza un motor.

    Attributes:
        command: programa y argumentos; se ejecuta en la carpeta del servicio.
        url: la dirección en la que va a responder.
        environment: variables que se añaden a las del proceso.
    """

    command: list[str]
    url: str
    environment: Mapping[str, str] = field(default_factory=dict)


class Service(ABC):
    """Un servicio embebido.

    Attributes:
        name: uno de `SERVICES`; también su carpeta en `.labs/`.
        title: nombre del motor, para los mensajes.
        variables: las que lo describen; la primera es su dirección.
        package: paquete de Python que trae el motor.
        extra: extra que instala ese paquete.
        usual_port: el puerto habitual, que se usa si está libre; None si no usa red.
        first_start_seconds: lo que suele tardar la primera vez, si es para avisarlo.
        start_deadline: lo que se le espera como mucho, en segundos.
        stop_signal: la señal con la que termina guardando sus datos.
        needs: los servicios que deben estar en marcha antes que él.
    """

    name: str
    title: str
    variables: tuple[str, ...]
    package: str
    extra: str
    usual_port: int | None = None
    first_start_seconds: int = 0
    start_deadline: float = 60.0
    stop_signal: signal.Signals = signal.SIGTERM
    needs: tuple[str, ...] = ()

    def prepare(self, folder: Path) -> None:  # noqa: B027
        """Crea lo que el motor necesita encontrar en su carpeta."""

    @abstractmethod
    def launch(self, folder: Path, port: int) -> Launch:
        """Dice cómo lanzar el motor para que atienda en ese puerto de 127.0.0.1."""

    def clean(self, folder: Path) -> None:  # noqa: B027
        """Quita lo que el motor dejó fuera de su carpeta."""

    @abstractmethod
    def probe(self, url: str) -> None:
        """Comprueba que el servicio responde, en `PROBE_SECONDS` como mucho.

        Raises:
            OSError: si no responde, o no es este servicio.
        """

    def environment(self, url: str) -> dict[str, str]:
        """Variables con las que se llega a un servicio embebido."""
        return {self.variables[0]: url}

    def configured(self, settings: Settings) -> dict[str, str]:
        """Variables con las que se llega al servicio que indica la configuración; vacío si no indica ninguno."""
        found = {name: _plain(getattr(settings, name.lower(), os.environ.get(name))) for name in self.variables}
        return {name: value for name, value in found.items() if value} if found[self.variables[0]] else {}


def _plain(value: object) -> str:
    """Texto de un valor de la configuración, aunque sea secreto."""
    reveal = getattr(value, "get_secret_value", None)
    return str(reveal() if reveal else value or "")


def get_service(name: str) -> Service:
    """Devuelve un servicio por su nombre, sin importar los demás.

    Raises:
        ServiceError: si no existe.
    """
    if name not in SERVICES:
        raise ServiceError(f"No existe el servicio «{name}».", next_step=f"Los que hay: {', '.join(SERVICES)}.")
    service: Service = importlib.import_module(f"shared.services.{name}").SERVICE
    return service


def package_folder(package: str) -> Path:
    """Carpeta de un paquete instalado, sin importarlo: el guardián debe pesar poco."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise FileNotFoundError(f"No encuentro el paquete «{package}».")
    return Path(spec.origin).parent


def probe_http(url: str) -> None:
    """Comprueba que un servidor HTTP contesta sin error propio (5xx); sin proxy, que no sabría llegar a esta máquina.

    Raises:
        OSError: si no contesta.
    """
    address = urlsplit(url)
    kind = http.client.HTTPSConnection if address.scheme == "https" else http.client.HTTPConnection
    try:
        with closing(kind(address.hostname or "", address.port, timeout=PROBE_SECONDS)) as connection:
            connection.request("GET", address.path or "/")
            status = connection.getresponse().status
    except http.client.HTTPException as error:
        raise ConnectionError(f"Lo que contesta no es HTTP: {error!r}") from error
    if status >= http.client.INTERNAL_SERVER_ERROR:
        raise ConnectionError(f"Contesta con un error {status}")
