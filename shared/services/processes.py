"""Los procesos de un servicio: se reconocen por una marca que heredan en su entorno."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterable
from contextlib import suppress

import psutil

MARK = "LABS_SERVICIO"
"""Variable de entorno cuyo valor es la carpeta de datos del servicio: distinta en cada clon."""

GRACE_SECONDS = 10.0
"""Lo que se espera a que un motor termine por las buenas."""


def find_marked(mark: str) -> set[psutil.Process]:
    """Busca los procesos con la marca y sus descendientes, menos este.

    Los descendientes se añaden porque PostgreSQL sobrescribe el entorno de los suyos.
    """
    found = set()
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if _has_mark(process, mark):
                found.update([process, *process.children(recursive=True)])
    return found - {psutil.Process()}


def _has_mark(process: psutil.Process, mark: str) -> bool:
    """Un contenedor no deja a root leer el entorno de otro usuario, como el de PostgreSQL: ahí vale su orden."""
    try:
        return bool(process.environ().get(MARK) == mark)
    except psutil.AccessDenied:
        return os.geteuid() == 0 and f"{mark}/data" in process.cmdline()


def end_marked(mark: str, *, stop_signal: signal.Signals) -> None:
    """Termina los procesos de un servicio: por las buenas y, pasados `GRACE_SECONDS`, a la fuerza."""
    for number in (stop_signal, signal.SIGKILL, signal.SIGKILL):
        processes = find_marked(mark)
        _send(processes, number)
        _wait(processes, GRACE_SECONDS)


def listens(pid: int, port: int) -> bool:
    """Dice si un proceso, o un descendiente suyo, atiende en ese puerto."""
    with suppress(psutil.Error):
        process = psutil.Process(pid)
        for each in [process, *process.children(recursive=True)]:
            for connection in each.net_connections(kind="tcp"):
                if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port:
                    return True
    return False


def _send(processes: Iterable[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        with suppress(psutil.Error):
            process.send_signal(number)


def _wait(processes: Iterable[psutil.Process], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while any(map(_is_alive, processes)) and time.monotonic() < deadline:
        time.sleep(0.02)


def _is_alive(process: psutil.Process) -> bool:
    """Un zombi ya no hace nada: solo espera a que su padre lo recoja."""
    with suppress(psutil.Error):
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    return False
