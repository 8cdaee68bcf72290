"""Esquemas de tablas: qué columnas hay, en qué unidades y entre qué límites, y qué filas no los cumplen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import pandas as pd

from shared.errors import DataError

SHOWN_ROWS = 3
"""Filas malas que un mensaje muestra por columna; el total se dice siempre."""


@dataclass(frozen=True)
class Column:
    """Una columna de una tabla.

    Attributes:
        description: qué mide, en una frase corta.
        kind: tipo de sus valores.
        unit: unidad, o cadena vacía si no tiene.
        low: mínimo posible, incluido; solo para números.
        high: máximo posible, incluido; solo para números.
        categories: valores posibles, en el orden de sus códigos; solo para categorías.
        nullable: admite valores faltantes.
    """

    description: str
    kind: Literal["int", "float", "category"]
    unit: str = ""
    low: float = float("-inf")
    high: float = float("inf")
    categories: tuple[str, ...] = ()
    nullable: bool = False

    @property
    def dtype(self) -> str | pd.CategoricalDtype:
        """Tipo de pandas de la columna ya validada; un entero que puede faltar se guarda como `float64`."""
        if self.kind == "category":
            return pd.CategoricalDtype(list(self.categories))
        return "int64" if self.kind == "int" and not self.nullable else "float64"


Schema = Mapping[str, Column]


def apply_schema(frame: pd.DataFrame, schema: Schema, *, source: str) -> pd.DataFrame:
    """Devuelve la tabla con las columnas del esquema, en su orden y con sus tipos.

    Args:
        frame: (n, columnas) tal como se leyó.
        schema: columnas que debe tener, ni más ni menos.
        source: nombre del archivo, para los mensajes.

    Raises:
        DataError: si falta o sobra una columna, no hay filas, o algún valor no es posible; nombra el archivo,
            la columna y las primeras filas malas.
    """
    check_columns(frame, schema, source=source)
    if frame.empty:
        raise DataError(f"`{source}` solo tiene el encabezado.", next_step="Use un archivo con filas de datos.")
    problems = find_problems(frame, schema)
    if not problems.empty:
        raise DataError(
            f"`{source}` tiene {problems['row'].nunique()} de {len(frame)} filas con valores que no son posibles.",
            why=describe_problems(problems),
            next_step="Corrija o quite esas filas; la fila 1 es la que sigue al encabezado.",
        )
    return frame[list(schema)].astype({name: column.dtype for name, column in schema.items()})


def check_columns(frame: pd.DataFrame, schema: Schema, *, source: str) -> None:
    """Comprueba que la tabla tiene exactamente las columnas del esquema, en cualquier orden.

    Raises:
        DataError: si falta o sobra alguna, o si el separador del archivo no es la coma.
    """
    missing = [name for name in schema if name not in frame.columns]
    extra = [str(name) for name in frame.columns if name not in schema]
    if not missing and not extra:
        return
    if len(frame.columns) == 1 and any(mark in extra[0] for mark in ";\t|"):
        raise DataError(
            f"`{source}` no está separado por comas.",
            why=f"Su encabezado se lee como una sola columna: «{extra[0][:60]}».",
            next_step="Guárdelo como CSV con coma y punto decimal.",
        )
    parts = [f"Faltan: {', '.join(missing)}."] if missing else []
    parts += [f"Sobran: {', '.join(extra)}."] if extra else []
    raise DataError(
        f"`{source}` no tiene las columnas esperadas.",
        why=" ".join(parts),
        next_step=f"Deben ser estas {len(schema)}: {', '.join(schema)}.",
    )


def find_problems(frame: pd.DataFrame, schema: Schema) -> pd.DataFrame:
    """Busca los valores que el esquema no admite.

    Args:
        frame: (n, columnas), con todas las columnas del esquema.
        schema: reglas de cada columna.

    Returns:
        (m, 4), un problema por fila: `row` (posición desde 1), `column`, `value` y `reason`.
    """
    found = []
    for name, column in schema.items():
        values = frame[name].reset_index(drop=True)
        for reason, bad in _rules(values, column).items():
            rows = values.index[bad]
            found.append(
                pd.DataFrame({"row": rows + 1, "column": name, "value": values[rows].astype(object), "reason": reason})
            )
    return pd.concat(found, ignore_index=True).sort_values("row", kind="stable", ignore_index=True)


def _rules(values: pd.Series, column: Column) -> dict[str, pd.Series]:
    """Motivo → máscara (n,) de los valores que lo incumplen; cada valor cae en un motivo como mucho."""
    missing = values.isna()
    rules = {} if column.nullable else {"falta el valor": missing}
    if column.kind == "category":
        known = ", ".join(column.categories)
        return rules | {f"no es una de: {known}": ~missing & ~values.isin(column.categories)}
    numbers = pd.to_numeric(values, errors="coerce")
    is_number = numbers.notna()
    rules["no es un número"] = ~missing & ~is_number
    outside = is_number & ~numbers.between(column.low, column.high)
    limits = f"{column.low:g} a {column.high:g} {column.unit}".strip()
    rules[f"fuera de {limits}"] = outside
    if column.kind == "int":
        rules["no es un entero"] = is_number & ~outside & (numbers % 1 != 0)
    return rules


def describe_problems(problems: pd.DataFrame) -> str:
    """Resume los problemas: por columna y motivo, cuántos son y sus primeras filas."""
    sentences = []
    for (column, reason), group in problems.groupby(["column", "reason"], sort=False):
        shown = ", ".join(
            f"fila {row} ({value!s:.30})" for row, value in group[["row", "value"]].head(SHOWN_ROWS).values
        )
        rest = f" y {len(group) - SHOWN_ROWS} más" if len(group) > SHOWN_ROWS else ""
        sentences.append(f"Columna `{column}`, {reason}: {shown}{rest}.")
    return " ".join(sentences)
