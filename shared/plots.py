"""Las figuras que varias clases repiten, con el mismo aspecto en todas."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike
from sklearn.metrics import ConfusionMatrixDisplay, RocCurveDisplay

from shared.models import Interval

DPI = 120


def plot_roc(y_true: ArrayLike, y_score: ArrayLike, auc: Interval) -> Figure:
    """Curva ROC de un clasificador binario, con el azar como referencia.

    Args:
        y_true: (n,) clases reales, 0 o 1.
        y_score: (n,) puntuación de la clase 1.
        auc: área bajo la curva, con su intervalo.
    """
    figure = Figure(figsize=(5, 4.5), layout="constrained")
    axes = figure.subplots()
    display = RocCurveDisplay.from_predictions(y_true, y_score, ax=axes)
    display.line_.set_label(f"Modelo: {auc.value:.2f} [{auc.low:.2f}; {auc.high:.2f}]")
    axes.plot([0, 1], [0, 1], linestyle="--", color="gray", label="Azar: 0.50")
    axes.set(xlabel="1 − especificidad", ylabel="Sensibilidad", title=f"Curva ROC, {len(np.asarray(y_true))} casos")
    axes.legend(loc="lower right", title="Área bajo la curva [IC 95 %]")
    return figure


def plot_confusion(metrics: Mapping[str, Interval], class_names: Sequence[str]) -> Figure:
    """Matriz de confusión binaria, con el intervalo de cada casilla.

    Args:
        metrics: las de `evaluate_classifier`; se usan `tn`, `fp`, `fn` y `tp`.
        class_names: nombres de la clase 0 y de la clase 1.
    """
    cells = [metrics[name] for name in ("tn", "fp", "fn", "tp")]
    counts = np.array([cell.value for cell in cells]).astype(int).reshape(2, 2)
    figure = Figure(figsize=(5, 4.5), layout="constrained")
    axes = figure.subplots()
    display = ConfusionMatrixDisplay(counts, display_labels=class_names)
    display.plot(ax=axes, cmap="Blues", colorbar=False)
    for text, cell in zip(display.text_.ravel(), cells, strict=True):
        text.set_text(f"{cell.value:.0f}\n[{cell.low:.0f}; {cell.high:.0f}]")
    axes.set(xlabel="Predicción", ylabel="Realidad", title=f"Matriz de confusión, {counts.sum()} casos [IC 95 %]")
    return figure
