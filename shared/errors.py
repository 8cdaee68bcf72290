"""Errores que un estudiante puede resolver: qué pasó, por qué y qué orden sigue."""

from __future__ import annotations

import importlib.util


class LabError(Exception):
    """Error esperado; se muestra sin traza. Los demás errores son fallos del código y la conservan.

    Args:
        what: qué pasó, en una frase con punto final.
        why: por qué pasó, si se sabe.
        next_step: qué hacer ahora; si es posible, la orden exacta entre comillas invertidas.
        exit_code: código de salida del proceso, de 1 a 255.
    """

    def __init__(self, what: str, *, why: str = "", next_step: str = "", exit_code: int = 1) -> None:
        super().__init__(" ".join(part for part in (what, why, next_step) if part))
        self.what = what
        self.why = why
        self.next_step = next_step
        self.exit_code = exit_code


class DataError(LabError):
    """Los datos de entrada no cumplen su esquema o no se pueden leer."""


class ModelError(LabError):
    """El modelo no se puede leer, o no corresponde a los datos."""


class ServiceError(LabError):
    """Un servicio no arrancó, no responde o no está donde se dijo."""


class ToolError(LabError):
    """Falta un programa o un paquete, o una orden ajena terminó mal."""


def require_package(module: str, *, extra: str) -> None:
    """Comprueba que un módulo opcional está instalado, sin importarlo.

    Raises:
        ToolError: si falta; nombra la orden que lo instala.
    """
    if importlib.util.find_spec(module) is None:
        raise ToolError(
            f"Falta el paquete «{module}».",
            why=f"Viene con el extra «{extra}», que no está instalado.",
            next_step=f'Instálelo: `pip install -e ".[{extra}]" -c constraints.txt`',
        )
