"""El guardián de un servicio: lanza el motor, espera a que responda, y lo para cuando nadie lo usa.

Es un proceso aparte porque así el motor se para pase lo que pase con quienes lo usan, también si los mata
`kill -9`. Lo lanza `lifecycle.py`: `python -m shared.services.guardian NOMBRE CARPETA`.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import IO

import filelock

from shared.services.base import Launch, Service, get_service
from shared.services.files import ServiceFiles, hold
from shared.services.processes import end_marked, listens

TICK_SECONDS = 0.1


class Guardian:
    """Un servicio, desde que se lanza hasta que no queda nada de él.

    Args:
        service: el servicio.
        files: sus archivos.
    """

    def __init__(self, service: Service, files: ServiceFiles) -> None:
        self.service = service
        self.files = files
        self.asked_to_stop = threading.Event()

    def run(self) -> None:
        """Arranca el motor, lo vigila y lo para."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda *_: self.asked_to_stop.set())
        try:
            self.service.clean(self.files.data)
            self.files.data.mkdir(parents=True, exist_ok=True)
            self.service.prepare(self.files.data)
            engine, launch = self.start()
            with self.publish(engine, launch):
                self.watch(engine)
        except (OSError, subprocess.CalledProcessError) as error:
            sys.exit(str(error))
        finally:
            self.stop()

    def start(self) -> tuple[subprocess.Popen[bytes], Launch]:
        """Lanza el motor y espera a que responda.

        Si termina antes, prueba con otro puerto: otro clon pudo ocupar el suyo, y soltarlo enseguida.
        """
        for port in candidate_ports(self.service.usual_port):
            launch = self.service.launch(self.files.data, port)
            environment = {**os.environ, **launch.environment}
            engine = subprocess.Popen(launch.command, cwd=self.files.data, env=environment)  # noqa: S603
            if self.wait_ready(engine, launch.url, port):
                return engine, launch
            if port != self.service.usual_port and is_free(port):
                break
        sys.exit(f"{self.service.title} terminó con código {engine.returncode} antes de responder.")

    def wait_ready(self, engine: subprocess.Popen[bytes], url: str, port: int) -> bool:
        """Espera a que el motor responda. Devuelve False si termina antes."""
        deadline = time.monotonic() + self.service.start_deadline
        while engine.poll() is None:
            if self.asked_to_stop.wait(TICK_SECONDS) or not self.files.in_use():
                sys.exit("Arranque cancelado: quien lo pidió ya no está.")
            if time.monotonic() > deadline:
                sys.exit(f"{self.service.title} no respondió en {self.service.start_deadline:.0f} s.")
            with suppress(OSError):
                self.service.probe(url)
                # Quien responde podría ser el servicio de otro clon, que ocupó el puerto antes.
                if port == 0 or listens(engine.pid, port):
                    return True
        return False

    def publish(self, engine: subprocess.Popen[bytes], launch: Launch) -> IO[str]:
        """Escribe el archivo de estado: quien lo ve sabe que el servicio está listo."""
        state = {
            "name": self.service.name,
            "url": launch.url,
            "environment": self.service.environment(launch.url),
            "command": launch.command,
            "guardian_pid": os.getpid(),
            "engine_pid": engine.pid,
            "started": datetime.now().astimezone().isoformat(timespec="seconds"),
        }
        return hold(self.files.state, json.dumps(state, ensure_ascii=False, indent=2) + "\n")

    def watch(self, engine: subprocess.Popen[bytes]) -> None:
        """Vuelve cuando el motor termina, llega una señal o ya nadie usa el servicio.

        En este último caso lo para antes de soltar el cerrojo: si no, alguien podría adoptarlo mientras tanto.
        """
        while engine.poll() is None and not self.asked_to_stop.wait(TICK_SECONDS):
            if self.files.in_use():
                continue
            if not self.files.folder.is_dir():
                return
            with suppress(filelock.Timeout), self.files.lock(timeout=TICK_SECONDS):
                if not self.files.in_use():
                    self.stop()
                    return

    def stop(self) -> None:
        """Termina todos los procesos del motor y quita el archivo de estado."""
        end_marked(self.files.mark, stop_signal=self.service.stop_signal)
        self.service.clean(self.files.data)
        self.files.state.unlink(missing_ok=True)


def candidate_ports(usual: int | None) -> Iterator[int]:
    """Puertos que se prueban, en orden: el habitual si está libre, y luego los que dé el sistema."""
    if usual is None:
        yield 0
        return
    if is_free(usual):
        yield usual
    for _ in range(3):
        with socket.socket() as candidate:
            candidate.bind(("127.0.0.1", 0))
            port: int = candidate.getsockname()[1]
        yield port


def is_free(port: int) -> bool:
    """Dice si un puerto está libre, también para quien atiende en todas las interfaces.

    Sin esto último, macOS deja ocupar 127.0.0.1 aunque otro programa atienda en 0.0.0.0.
    """
    for host in ("127.0.0.1", "0.0.0.0"):  # noqa: S104
        with socket.socket() as candidate:
            candidate.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                candidate.bind((host, port))
            except OSError:
                return False
    return True


if __name__ == "__main__":
    name, home = sys.argv[1:]
    Guardian(get_service(name), ServiceFiles(Path(home), name)).run()
