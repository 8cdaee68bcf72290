"""El formulario: qué campos tiene, y qué dice de cada valor que no puede ser."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from werkzeug.datastructures import MultiDict

from shared.datasets import WINE_FEATURES, WINE_SCHEMA

# Cifras corrientes, con coma o punto decimal. float() aceptaría además «nan», «inf», «1e308», «1_000» y cifras de
# otros alfabetos.
NUMBER = re.compile(r"[+-]?[0-9]+([.,][0-9]+)?")
MAX_LENGTH = 20
"""Caracteres de un valor; la medida más larga de los datos tiene 7."""


@dataclass(frozen=True)
class Field:
    """Un campo del formulario.

    Attributes:
        name: su nombre en el formulario y en la tabla de PostgreSQL.
        feature: la columna de `WINE_SCHEMA`, que es la del modelo.
        label: qué mide.
        unit: unidad, o cadena vacía.
        low: mínimo posible, incluido.
        high: máximo posible, incluido.
    """

    name: str
    feature: str
    label: str
    unit: str
    low: float
    high: float

    @classmethod
    def from_schema(cls, feature: str) -> Field:
        """Toma de `WINE_SCHEMA` el nombre en español, la unidad y los límites."""
        column = WINE_SCHEMA[feature]
        text = column.description
        label = text[0].upper() + text[1:] if text.islower() else text  # «pH» se queda como está.
        return cls(feature.lower().replace(" ", "_"), feature, label, column.unit, column.low, column.high)


FIELDS = tuple(map(Field.from_schema, WINE_FEATURES))
COLUMNS = {field.feature: field.name for field in FIELDS}


@dataclass(frozen=True)
class Form:
    """Lo que alguien envió.

    Attributes:
        values: el texto de cada campo, tal como se escribió.
        measures: las medidas que se entendieron, por su columna del modelo; están las 11 si no hay errores.
        errors: qué le pasa a cada campo.
        problems: qué le pasa al formulario en conjunto.
    """

    values: dict[str, str]
    measures: dict[str, float] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    @property
    def is_valid(self) -> bool:
        """Si se puede predecir con estas medidas."""
        return not self.errors and not self.problems


def read_form(sent: MultiDict[str, str]) -> Form:
    """Lee y comprueba un formulario enviado. No falla nunca: lo que está mal queda en `errors` o en `problems`."""
    form = Form({each.name: sent.get(each.name, "") for each in FIELDS})
    for each in FIELDS:
        try:
            form.measures[each.feature] = read_number(sent.getlist(each.name), each)
        except ValueError as error:
            form.errors[each.name] = str(error)
    if set(sent) - {each.name for each in FIELDS}:
        form.problems.append("El formulario trae campos que esta página no tiene.")
    if not form.errors and form.measures["free sulfur dioxide"] > form.measures["total sulfur dioxide"]:
        form.errors["free_sulfur_dioxide"] = "El libre es parte del total: no puede ser mayor."
    return form


def read_number(texts: list[str], expected: Field) -> float:
    """Convierte en número lo que se escribió en un campo.

    Raises:
        ValueError: si no es un número dentro de los límites; el mensaje es para quien lo escribió.
    """
    if len(texts) > 1:
        raise ValueError("Este campo llegó repetido: envíe un solo valor.")
    text = texts[0].strip() if texts else ""
    if not text:
        raise ValueError("Falta este valor.")
    if len(text) > MAX_LENGTH or not NUMBER.fullmatch(text):
        raise ValueError("Escriba un número con cifras y, si hace falta, una coma o un punto decimal.")
    number = float(text.replace(",", "."))
    if not expected.low <= number <= expected.high:
        limits = f"{show_number(expected.low)} y {show_number(expected.high)} {expected.unit}".strip()
        raise ValueError(f"Debe estar entre {limits}.")
    return number


def show_number(number: float) -> str:
    """Escribe un número con coma decimal y sin ceros de más."""
    return f"{number:.10g}".replace(".", ",")


def show_measures(measures: Mapping[str, float]) -> dict[str, str]:
    """El texto de cada campo para unas medidas."""
    return {each.name: show_number(measures[each.feature]) for each in FIELDS}
