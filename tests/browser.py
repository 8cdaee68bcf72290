"""Un navegador de verdad para las pruebas de las páginas."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from playwright.sync_api import Page, sync_playwright

# Sin sandbox funciona también como root; lo demás es tráfico de Chromium que no es de la página.
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@contextmanager
def open_page(*, width: int = 1280, scheme: Literal["light", "dark"] = "light") -> Iterator[Page]:
    """Da una pestaña vacía de Chromium; al salir, cierra el navegador.

    Args:
        width: ancho de la ventana, en píxeles.
        scheme: tema que pide el sistema.
    """
    with sync_playwright() as player:
        browser = player.chromium.launch(executable_path=shutil.which("chromium"), args=list(FLAGS))
        try:
            yield browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
        finally:
            browser.close()
