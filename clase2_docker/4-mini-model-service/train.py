"""Entrena el clasificador de vinos y lo guarda con sus métricas.

python clase2_docker/4-mini-model-service/train.py
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
import typer
from scipy.stats import bootstrap
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score, recall_score
from sklearn.model_selection import GridSearchCV, StratifiedKFold, train_test_split
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from predictor import CLASSES, FEATURES, MODEL_FILE, MODEL_FOLDER, MODEL_RECORD
from shared.commands import run_script
from shared.datasets import WINE_CSV, WINE_TARGET, load_wine_quality
from shared.models import Interval, save_model
from shared.outputs import package_versions, refuse_other_run, replace_folder, sha256_of, write_json

HIGHEST_SCORE = (5, 6, 10)
"""Última nota de cada clase de `CLASSES`: hasta 5 es baja, 6 es media, de 7 en adelante es alta."""

TEST_SIZE = 0.2
GRID = {"classifier__C": [0.01, 0.03, 0.1, 0.3, 1.0, 3.0]}


def label_quality(scores: pd.Series) -> pd.Series:
    """Convierte las notas de los catadores, de 0 a 10, en tres clases.

    Con las notas sueltas no se puede aprender: hay 10 vinos con un 3 y 18 con un 8.
    """
    return pd.cut(scores, [-1, *HIGHEST_SCORE], labels=list(CLASSES)).astype(str)


def split_wines(*, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Separa los vinos en entrenamiento y prueba, con la misma proporción de cada clase.

    Quita antes las 240 filas repetidas: si no, vinos de prueba estarían también en el entrenamiento.
    """
    wines = load_wine_quality().drop_duplicates()
    return tuple(
        train_test_split(wines, test_size=TEST_SIZE, stratify=label_quality(wines[WINE_TARGET]), random_state=seed)
    )


def search_model(train: pd.DataFrame, *, seed: int) -> GridSearchCV:
    """Busca la regularización con menor pérdida logarítmica en validación cruzada y entrena con todo.

    La página enseña probabilidades, y eso es lo que mide la pérdida logarítmica. Por lo mismo no se da más peso a las
    clases escasas: subiría sus aciertos a costa de probabilidades que ya no son frecuencias.
    """
    model = Pipeline([("scaler", StandardScaler()), ("classifier", LogisticRegression(max_iter=5000))])
    folds = StratifiedKFold(5, shuffle=True, random_state=seed)
    search = GridSearchCV(model, GRID, scoring="neg_log_loss", cv=folds, error_score="raise")
    return search.fit(train[FEATURES], label_quality(train[WINE_TARGET]))


def mean_interval(values: np.ndarray, *, seed: int) -> Interval:
    """Media de (n,) valores, con su intervalo del 95 % por bootstrap de percentiles."""
    limits = bootstrap((values,), np.mean, n_resamples=2000, method="percentile", rng=seed).confidence_interval
    return Interval(*(round(float(number), 4) for number in (values.mean(), limits.low, limits.high)))


def measure(model: Any, wines: pd.DataFrame, *, seed: int) -> dict[str, Any]:
    """Mide un clasificador: aciertos y pérdida logarítmica con intervalo, F1 medio y sensibilidad por clase."""
    target = label_quality(wines[WINE_TARGET]).to_numpy()
    answers, probabilities = model.predict(wines[FEATURES]), model.predict_proba(wines[FEATURES])
    of_the_real_class = probabilities[np.arange(len(target)), np.searchsorted(model.classes_, target)]
    recalls = recall_score(target, answers, labels=list(CLASSES), average=None, zero_division=0)
    return {
        "accuracy": asdict(mean_interval(answers == target, seed=seed)),
        "log_loss": asdict(mean_interval(-np.log(of_the_real_class), seed=seed)),
        "f1_macro": round(float(f1_score(target, answers, average="macro", zero_division=0)), 4),
        "recall": {name: round(float(value), 4) for name, value in zip(CLASSES, recalls, strict=True)},
    }


def evaluate(search: GridSearchCV, train: pd.DataFrame, test: pd.DataFrame, *, seed: int) -> dict[str, Any]:
    """Mide el modelo en validación cruzada y en prueba, y al lado la referencia: la frecuencia de cada clase."""
    baseline = DummyClassifier(strategy="prior").fit(train[FEATURES], label_quality(train[WINE_TARGET]))
    best = search.best_index_
    return {
        "rows": {"train": len(train), "test": len(test)},
        "cross_validation": {
            "log_loss_mean": round(-float(search.best_score_), 4),
            "log_loss_std": round(float(search.cv_results_["std_test_score"][best]), 4),
            "C": search.best_params_["classifier__C"],
        },
        "test": measure(search.best_estimator_, test, seed=seed),
        "baseline": measure(baseline, test, seed=seed),
    }


def describe_data(train: pd.DataFrame, test: pd.DataFrame) -> dict[str, Any]:
    """Lo que la página necesita saber de los datos: entre qué valores se entrenó, y un vino de prueba por clase.

    Los ejemplos son los primeros de cada clase, no los que el modelo acierta.
    """
    limits = {name: [float(train[name].min()), float(train[name].max())] for name in FEATURES}
    first = test.groupby(label_quality(test[WINE_TARGET])).head(1).sort_values(WINE_TARGET)
    examples = [
        {"score": int(row[WINE_TARGET]), "measures": {name: float(row[name]) for name in FEATURES}}
        for row in first.to_dict("records")
    ]
    return {"features": FEATURES, "classes": list(CLASSES), "trained_between": limits, "examples": examples}


def main(
    output: Annotated[Path, typer.Option(help="Carpeta del modelo.", show_default="salidas")] = MODEL_FOLDER,
    seed: Annotated[int, typer.Option(min=0, help="Semilla de las particiones.")] = 42,
    force: Annotated[bool, typer.Option("--force", help="Sustituir un modelo entrenado con otra semilla.")] = False,
) -> None:
    """Entrena el clasificador de vinos y lo guarda con sus métricas."""
    parameters = {"data_sha256": sha256_of(WINE_CSV), "seed": seed, "grid": GRID}
    refuse_other_run(output, MODEL_RECORD, parameters, force=force)
    train, test = split_wines(seed=seed)
    search = search_model(train, seed=seed)
    metrics = evaluate(search, train, test, seed=seed)
    versions = package_versions("scikit-learn", "skops", "pandas", "numpy")
    with replace_folder(output) as staging:
        save_model(search.best_estimator_, staging / MODEL_FILE)
        record = {"parameters": parameters, **describe_data(train, test), **metrics, "versions": versions}
        write_json(staging / MODEL_RECORD, record)
    accuracy, baseline = metrics["test"]["accuracy"]["value"], metrics["baseline"]["accuracy"]["value"]
    typer.echo(f"Aciertos en prueba: {accuracy:.1%} (la referencia, {baseline:.1%}). Escrito en {output}")


if __name__ == "__main__":
    run_script(main)
