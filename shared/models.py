"""Los modelos que los laboratorios entrenan, cómo se evalúan y cómo se guardan."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import bootstrap, rankdata
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import SVC

from shared.datasets import HEART_CATEGORICAL, HEART_FEATURES, HEART_SCHEMA
from shared.errors import DataError, ModelError

HEART_SVM_GRID: list[dict[str, list[Any]]] = [
    {
        "classifier__estimator__kernel": ["rbf"],
        "classifier__estimator__C": [0.1, 1.0, 10.0],
        "classifier__estimator__gamma": ["scale", 0.01],
    },
    {"classifier__estimator__kernel": ["linear"], "classifier__estimator__C": [0.1, 1.0, 10.0]},
]
"""Rejilla de búsqueda de `heart_svm`: 9 combinaciones de núcleo, regularización y anchura."""

# skops pide nombrar los tipos que no conoce; estos son de scikit-learn y NumPy, y se revisaron.
TRUSTED_TYPES = ("numpy.dtype", "sklearn.calibration._CalibratedClassifier", "sklearn.calibration._SigmoidCalibration")


MIN_PER_CLASS = 10
"""Casos de cada clase con los que se estima un intervalo: con 10 y 10, uno de cada millón pierde una clase."""

# Lo que skops deja escapar al abrir un archivo dañado, o que no es suyo.
NOT_A_MODEL = (
    zipfile.BadZipFile,
    AttributeError,
    LookupError,
    NotImplementedError,
    OSError,
    TypeError,
    ValueError,
)


@dataclass(frozen=True)
class Interval:
    """Valor de una métrica en la muestra, con los extremos de su intervalo de confianza."""

    value: float
    low: float
    high: float


def heart_preprocessing() -> ColumnTransformer:
    """Completa los valores faltantes, separa las categorías en columnas y escala los números.

    Las columnas se eligen por posición, para que el mismo modelo acepte la tabla de `encode_heart` o una
    matriz (n, 13), como la que recibe en ONNX.
    """
    categorical = [HEART_FEATURES.index(name) for name in HEART_CATEGORICAL]
    numeric = [position for position in range(len(HEART_FEATURES)) if position not in categorical]
    codes = [list(range(len(HEART_SCHEMA[name].categories))) for name in HEART_CATEGORICAL]
    encoder = OneHotEncoder(categories=codes, handle_unknown="ignore")
    return ColumnTransformer(
        [
            ("numeric", make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), numeric),
            ("categorical", make_pipeline(SimpleImputer(strategy="most_frequent"), encoder), categorical),
        ]
    )


def heart_svm() -> Pipeline:
    """SVM con probabilidades calibradas para los pacientes de `load_heart`, sin entrenar.

    Se entrena con `encode_heart(features)`, (n, 13) float32, y `target` (n,). Todo lo que aprende de los
    datos va dentro del `Pipeline`, para que la validación cruzada no filtre nada entre particiones.
    """
    # Se calibra con todas las particiones a la vez (ensemble=False): un solo SVC, que se exporta a ONNX.
    classifier = CalibratedClassifierCV(SVC(), ensemble=False)
    return Pipeline([("preprocessing", heart_preprocessing()), ("classifier", classifier)])


def evaluate_classifier(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    y_score: ArrayLike,
    *,
    resamples: int = 1000,
    confidence: float = 0.95,
    seed: int,
) -> dict[str, Interval]:
    """Mide un clasificador binario, con intervalos por bootstrap de percentiles sobre las filas.

    Args:
        y_true: (n,) clases reales, 0 o 1, con las dos presentes.
        y_pred: (n,) clases predichas.
        y_score: (n,) puntuación de la clase 1: cuanto mayor, más probable.
        resamples: número de remuestreos.
        confidence: nivel de confianza, en (0, 1).
        seed: semilla de los remuestreos.

    Returns:
        Un intervalo por cada métrica de `measure_classifier`.
        Fuente del intervalo: Efron y Tibshirani (1993), An Introduction to the Bootstrap, capítulo 13.

    Raises:
        DataError: si hay menos de `MIN_PER_CLASS` casos de alguna clase: algún remuestreo se quedaría sin ella.
    """
    sample = tuple(np.asarray(column) for column in (y_true, y_pred, y_score))
    positives = int((sample[0] == 1).sum())
    if (fewest := min(positives, len(sample[0]) - positives)) < MIN_PER_CLASS:
        raise DataError(
            f"Para medir hacen falta al menos {MIN_PER_CLASS} casos de cada clase, y de una hay {fewest}.",
            why="Con menos, un intervalo no dice nada.",
            next_step="Use más datos, o una parte mayor para la prueba.",
        )
    # Todos los remuestreos de una vez: con las funciones de scikit-learn, uno a uno, tarda cien veces más.
    result = bootstrap(
        sample,
        lambda *columns, axis: np.stack(list(measure_classifier(*columns, axis=axis).values())),
        paired=True,
        vectorized=True,
        n_resamples=resamples,
        confidence_level=confidence,
        method="percentile",
        rng=seed,
    )
    limits = result.confidence_interval
    return {
        name: Interval(float(value), float(low), float(high))
        for (name, value), low, high in zip(measure_classifier(*sample).items(), limits.low, limits.high, strict=True)
    }


def measure_classifier(
    y_true: ArrayLike, y_pred: ArrayLike, y_score: ArrayLike, *, axis: int = -1
) -> dict[str, np.ndarray]:
    """Mide un clasificador binario en una muestra, o en muchas a la vez.

    Args:
        y_true: (…, n) clases reales, 0 o 1, con las dos presentes.
        y_pred: (…, n) clases predichas.
        y_score: (…, n) puntuación de la clase 1: cuanto mayor, más probable.
        axis: eje de los n casos.

    Returns:
        `f1`, `roc_auc`, `sensitivity` (exhaustividad o recall de la clase 1), `specificity` (la de la clase 0)
        y los recuentos `tn`, `fp`, `fn` y `tp`; cada una con la forma de la entrada sin `axis`. El área ROC se
        calcula con rangos: Hanley y McNeil (1982), Radiology 143.
    """
    positive, flagged = np.asarray(y_true) == 1, np.asarray(y_pred) == 1
    tp, fp = (positive & flagged).sum(axis), (~positive & flagged).sum(axis)
    fn, tn = (positive & ~flagged).sum(axis), (~positive & ~flagged).sum(axis)
    ranks = rankdata(y_score, axis=axis)
    rank_sum = np.where(positive, ranks, 0.0).sum(axis)
    return {
        "f1": 2 * tp / (2 * tp + fp + fn),
        "roc_auc": (rank_sum - (tp + fn) * (tp + fn + 1) / 2) / ((tp + fn) * (tn + fp)),
        "sensitivity": tp / (tp + fn),
        "specificity": tn / (tn + fp),
        "tn": tn,
        "fp": fp,
        "fn": fn,
        "tp": tp,
    }


def save_model(model: Pipeline, path: Path) -> None:
    """Guarda un modelo con skops: a diferencia de pickle, abrirlo no ejecuta código ajeno."""
    import skops.io

    skops.io.dump(model, path)


def load_model(path: Path, *, next_step: str, trusted: Sequence[str] = TRUSTED_TYPES) -> Pipeline:
    """Abre un modelo guardado con `save_model`.

    Args:
        path: archivo `.skops`.
        next_step: qué hacer si falta o no sirve.
        trusted: tipos revisados que puede contener, además de los que skops conoce.

    Raises:
        ModelError: si no existe, no es un modelo de skops o contiene tipos que no se revisaron.
    """
    import skops.io
    from skops.io.exceptions import UntrustedTypesFoundException

    try:
        model = skops.io.load(path, trusted=list(trusted))
    except FileNotFoundError as error:
        raise ModelError(f"No encuentro `{path}`.", next_step=next_step) from error
    except UntrustedTypesFoundException as error:
        raise ModelError(
            f"`{path}` contiene tipos que no se revisaron.", why=f"{error}", next_step=next_step
        ) from error
    except NOT_A_MODEL as error:
        raise ModelError(
            f"`{path}` no es un modelo guardado con skops.", why=f"{error}.", next_step=next_step
        ) from error
    if not isinstance(model, Pipeline):
        raise ModelError(f"`{path}` contiene un {type(model).__name__}, no un Pipeline.", next_step=next_step)
    return model


def check_features(model: Pipeline, columns: Sequence[str], *, next_step: str) -> None:
    """Comprueba que un modelo se entrenó con estas columnas, en este orden.

    Raises:
        ModelError: si no es así, o si el modelo no está entrenado; nombra las que faltan y las que sobran.
    """
    trained = [str(name) for name in getattr(model, "feature_names_in_", [])]
    if trained == list(columns):
        return
    missing = ", ".join(name for name in columns if name not in trained) or "ninguna"
    extra = ", ".join(name for name in trained if name not in columns) or "ninguna"
    raise ModelError(
        "El modelo se entrenó con otras columnas.",
        why=f"Al modelo le faltan: {missing}. Le sobran: {extra}. El orden también cuenta.",
        next_step=next_step,
    )
