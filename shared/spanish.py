"""La ayuda y los errores de uso de Typer, en español."""

from __future__ import annotations

import re
from typing import Any

import typer.rich_utils
from typer.core import TyperCommand, TyperGroup

_OPTION_HELP = {
    "Show this message and exit.": "Muestra esta ayuda y termina.",
    "Install completion for the current shell.": "Instala el autocompletado en esta terminal.",
    "Show completion for the current shell, to copy it or customize the installation.": (
        "Muestra el autocompletado, para copiarlo o adaptarlo."
    ),
}

# Typer trae estos mensajes fijos en inglés; se reconocen por su forma.
_USAGE_MESSAGES = {
    r"No such option: (\S+)": "No existe la opción {0}.",
    r"No such command '(.+?)'": "No existe la orden «{0}».",
    r"Missing argument '(.+)'": "Falta el argumento {0}.",
    r"Missing option '(.+)'": "Falta la opción {0}.",
    r"Missing command": "Falta la orden.",
    r"Got unexpected extra argument.*\((.+)\)": "Sobra: {0}.",
    r"Option '(.+)' requires an argument": "La opción {0} necesita un valor.",
    r"Invalid value for '(.+?)': .*valid integer": "{0} debe ser un número entero.",
    r"Invalid value for '(.+?)': .*valid number": "{0} debe ser un número.",
    r"Invalid value for '(.+?)': .*(?:less than or equal to) (\S+)": "{0} debe ser {1} como máximo.",
    r"Invalid value for '(.+?)': .*(?:greater than or equal to) (\S+)": "{0} debe ser {1} como mínimo.",
    r"Invalid value for '(.+?)': .*less than (\S+)": "{0} debe ser menor que {1}.",
    r"Invalid value for '(.+?)': .*greater than (\S+)": "{0} debe ser mayor que {1}.",
    r"Invalid value for '(.+?)': '?(.+?)'? is not one of (.+)": "{0}: «{1}» no es uno de {2}.",
}


class _SpanishOptions:
    """Traduce la ayuda de las opciones que añade el propio Typer."""

    def get_params(self, ctx: Any) -> list[Any]:
        params: list[Any] = super().get_params(ctx)  # type: ignore[misc]
        for param in params:
            param.help = _OPTION_HELP.get(param.help, param.help)
        return params


class SpanishCommand(_SpanishOptions, TyperCommand):
    """Orden con la ayuda en español."""


class SpanishGroup(_SpanishOptions, TyperGroup):
    """Grupo de órdenes con la ayuda en español."""


def use_spanish_help() -> None:
    """Traduce los títulos y las notas de `--help`."""
    panels = typer.rich_utils
    panels.ARGUMENTS_PANEL_TITLE = "Argumentos"
    panels.OPTIONS_PANEL_TITLE = "Opciones"
    panels.COMMANDS_PANEL_TITLE = "Órdenes"
    panels.DEFAULT_STRING = "[por defecto: {}]"
    panels.ENVVAR_STRING = "[variable: {}]"
    panels.REQUIRED_LONG_STRING = "[obligatorio]"


def translate_usage_error(message: str) -> str:
    """Traduce un error de uso; el que no se conoce se devuelve como vino."""
    for pattern, spanish in _USAGE_MESSAGES.items():
        if match := re.match(pattern, message):
            return spanish.format(*match.groups())
    return message
