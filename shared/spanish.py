"""La ayuda y los errores de uso de Typer, en español."""

from __future__ import annotations

import re

import typer.rich_utils

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
