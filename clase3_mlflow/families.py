"""Las familias de modelos que se comparan: cada una con su rejilla."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sklearn.base import ClassifierMixin
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline

from shared.models import HEART_SVM_GRID, heart_preprocessing, heart_svm
from shared.models import TRUSTED_TYPES as SVM_TRUSTED_TYPES

# skops no da por bueno el árbol compilado de scikit-learn: un archivo hecho con malicia podría leer memoria ajena. Aquí
# solo se abren los que estos programas guardaron.
TRUSTED_TYPES = (*SVM_TRUSTED_TYPES, "sklearn.tree._tree.Tree")
"""Tipos que hay que aceptar para abrir el archivo de cualquiera de las familias."""


@dataclass(frozen=True)
class Family:
    """Una familia de modelos.

    Attributes:
        name: nombre con el que se busca en MLflow.
        title: nombre para las tablas y las figuras.
        model: el modelo sin entrenar; su entrada es la de `encode_heart`.
        grid: rejilla de búsqueda de scikit-learn.
    """

    name: str
    title: str
    model: Pipeline
    grid: list[dict[str, list[Any]]]


def build_families(*, seed: int) -> dict[str, Family]:
    """Las cuatro familias, por su nombre; `seed` fija el azar de los árboles."""
    families = (
        Family("svm", "SVM", heart_svm(), HEART_SVM_GRID),
        Family(
            "logistic",
            "Regresión logística",
            _pipeline(LogisticRegression(max_iter=1000)),
            [{"classifier__C": [0.01, 0.1, 1.0, 10.0]}],
        ),
        Family(
            "forest",
            "Bosque aleatorio",
            _pipeline(RandomForestClassifier(100, random_state=seed)),
            [{"classifier__max_depth": [3, None], "classifier__min_samples_leaf": [1, 5]}],
        ),
        Family(
            "boosting",
            "Gradient boosting",
            _pipeline(GradientBoostingClassifier(random_state=seed)),
            [{"classifier__learning_rate": [0.05, 0.1], "classifier__max_depth": [2, 3]}],
        ),
    )
    return {family.name: family for family in families}


def _pipeline(classifier: ClassifierMixin) -> Pipeline:
    return Pipeline([("preprocessing", heart_preprocessing()), ("classifier", classifier)])
