"""La figura del historial: una barra por vino, dividida según la probabilidad de cada clase.

Se dibuja en SVG dentro de la página: no necesita JavaScript, y toma los colores de la hoja de estilo.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from database import StoredPrediction
from predictor import CLASSES

# En unidades del SVG, que el navegador escala al ancho que haya.
WIDTH, HEIGHT = 640, 280
LEFT, RIGHT, TOP, BOTTOM = 72, 8, 14, 28
LARGEST_BAR = 40.0
GAP = 0.25
"""Parte del hueco de cada vino que queda sin barra."""


@dataclass(frozen=True)
class Segment:
    """Rectángulo de una clase en la barra de un vino."""

    quality: str
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class Bar:
    """Barra de un vino: su número, el centro de su etiqueta y sus segmentos, de abajo arriba."""

    id: int
    center: float
    segments: list[Segment]


@dataclass(frozen=True)
class Chart:
    """Figura completa: tamaño, barras de la más antigua a la más nueva, y líneas del eje (posición, texto)."""

    width: int
    height: int
    left: int
    right: int
    bars: list[Bar]
    grid: list[tuple[float, str]]


def draw_history(history: Sequence[StoredPrediction]) -> Chart:
    """Calcula la figura del historial, que llega con lo más nuevo primero."""
    slot = min(LARGEST_BAR / (1 - GAP), (WIDTH - LEFT - RIGHT) / max(len(history), 1))
    bars = [_draw_bar(stored, LEFT + slot * position, slot) for position, stored in enumerate(reversed(history))]
    grid = [(_height_of(share), f"{share:.0%}".replace("%", " %")) for share in (0, 0.25, 0.5, 0.75, 1)]
    return Chart(WIDTH, HEIGHT, LEFT, WIDTH - RIGHT, bars, grid)


def _draw_bar(stored: StoredPrediction, x: float, slot: float) -> Bar:
    segments, accumulated = [], 0.0
    for name in CLASSES:
        bottom = _height_of(accumulated)
        accumulated += stored.probabilities[name]
        top = _height_of(accumulated)
        segments.append(Segment(name, round(x + slot * GAP / 2, 1), top, round(slot * (1 - GAP), 1), bottom - top))
    return Bar(stored.id, round(x + slot / 2, 1), segments)


def _height_of(share: float) -> float:
    """Posición vertical de una probabilidad; en SVG, hacia abajo es positivo."""
    return round(HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM), 1)
