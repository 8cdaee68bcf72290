"""Averías de la red, de verdad: un intermediario entre un programa y su servidor que se puede cortar."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit

CHUNK_BYTES = 65536


class Link:
    """Pasa los bytes entre un puerto propio de 127.0.0.1 y un servidor, hasta que se corta.

    Attributes:
        url: la dirección que se da al programa.
        refusals: conexiones que aún se van a cerrar sin atenderlas.
    """

    def __init__(self, target: str) -> None:
        parts = urlsplit(target)
        assert parts.hostname
        assert parts.port
        self._target = (parts.hostname, parts.port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: set[socket.socket] = set()
        self.refusals = 0
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Cierra lo que esté abierto y rechaza lo que venga, como un servidor caído."""
        # Sin shutdown, el hilo que espera en accept() mantendría el puerto abierto.
        for each in (self._listener, *self._open):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                if self.refusals:
                    self.refusals -= 1
                    near.close()
                    continue
                far = socket.create_connection(self._target)
                self._open |= {near, far}
                for source, sink in ((near, far), (far, near)):
                    threading.Thread(target=self._copy, args=(source, sink), daemon=True).start()

    def _copy(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(CHUNK_BYTES):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)


@contextmanager
def link_to(target: str) -> Iterator[Link]:
    """Da un enlace con el servidor de una dirección; al salir, lo corta."""
    link = Link(target)
    try:
        yield link
    finally:
        link.cut()


@contextmanager
def mute_server() -> Iterator[str]:
    """Da la dirección de un servidor que acepta conexiones y no contesta nunca."""
    with socket.create_server(("127.0.0.1", 0), backlog=16) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
