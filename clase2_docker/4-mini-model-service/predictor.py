"""El modelo ya entrenado: se abre una vez, al arrancar, y responde a cada petición."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from shared.datasets import WINE_FEATURES
from shared.models import check_features, load_model
from shared.outputs import read_json, sha256_of
from shared.settings import get_settings

MODEL_FOLDER = get_settings().outputs("clase2_docker") / "mini-model" / "modelo"
MODEL_FILE = "model.skops"
MODEL_RECORD = "model.json"
TRAIN_MODEL = "Entrene el modelo: `python clase2_docker/4-mini-model-service/train.py`"

FEATURES = list(WINE_FEATURES)
CLASSES = ("baja", "media", "alta")


@dataclass(frozen=True)
class Prediction:
    """Lo que el modelo responde sobre un vino.

    Attributes:
        measures: las 11 medidas, con los nombres de `WINE_FEATURES`.
        quality: la clase más probable, una de `CLASSES`.
        probabilities: la probabilidad de cada clase; suman 1.
        model_sha256: huella del modelo que respondió.
    """

    measures: dict[str, float]
    quality: str
    probabilities: dict[str, float]
    model_sha256: str | None


class Predictor:
    """Clasificador de vinos.

    Args:
        folder: la carpeta que escribe `train.py`.

    Raises:
        LabError: si falta el modelo o su registro, o no son de estos datos.
    """

    def __init__(self, folder: Path = MODEL_FOLDER) -> None:
        self.record: dict[str, Any] = read_json(folder / MODEL_RECORD, next_step=TRAIN_MODEL)
        self.model = load_model(folder / MODEL_FILE, next_step=TRAIN_MODEL)
        check_features(self.model, FEATURES, next_step=TRAIN_MODEL)
        self.sha256 = sha256_of(folder / MODEL_FILE)

    def predict(self, measures: dict[str, float]) -> Prediction:
        """Clasifica un vino a partir de sus 11 medidas."""
        row = pd.DataFrame([measures], columns=FEATURES)
        by_class = dict(zip(self.model.classes_, self.model.predict_proba(row)[0], strict=True))
        probabilities = {name: float(by_class[name]) for name in CLASSES}
        return Prediction(measures, max(CLASSES, key=probabilities.__getitem__), probabilities, self.sha256)

    def unseen(self, measures: dict[str, float]) -> list[str]:
        """Medidas que caen fuera de lo que el modelo vio al entrenar: ahí su probabilidad es una extrapolación."""
        limits = self.record["trained_between"]
        return [name for name, value in measures.items() if not limits[name][0] <= value <= limits[name][1]]
