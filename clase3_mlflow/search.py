"""La búsqueda de cada familia, calculada y guardada en disco antes de registrarla en ningún sitio."""

from __future__ import annotations

import time
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from sklearn.model_selection import GridSearchCV, StratifiedKFold

from clase3_mlflow.experiment import OUTPUTS, Split
from clase3_mlflow.families import Family
from shared.datasets import HEART_CSV
from shared.models import evaluate_classifier, save_model
from shared.outputs import git_commit, package_versions, replace_folder, sha256_of, write_json
from shared.plots import DPI, plot_confusion, plot_roc

PENDING = OUTPUTS / "pendientes"
"""Los resultados calculados que aún no llegaron al servidor, cada uno en su carpeta."""

RECORD, MODEL, FIGURES = "record.json", "model.skops", ("roc.png", "confusion.png")
PACKAGES = ("mlflow", "scikit-learn", "skops", "pandas", "numpy")
CLASS_NAMES = ("sin enfermedad", "con enfermedad")
SCORES = {"f1": "f1", "roc_auc": "roc_auc"}


def search_family(family: Family, split: Split, *, folds: int, seed: int) -> GridSearchCV:
    """Busca en la rejilla de una familia; el mejor, por F1 en validación cruzada, se entrena con todo."""
    splitter = StratifiedKFold(folds, shuffle=True, random_state=seed)
    search = GridSearchCV(family.model, family.grid, scoring=SCORES, refit="f1", cv=splitter, error_score="raise")
    return search.fit(split.X_train, split.y_train)


def describe_search(search: GridSearchCV) -> dict[str, Any]:
    """Las combinaciones probadas, con sus métricas de validación cruzada, y la posición de la mejor."""
    results = search.cv_results_
    candidates = [
        {
            "params": {name.rsplit("__")[-1]: value for name, value in params.items()},
            "metrics": {
                "cv_f1": float(results["mean_test_f1"][position]),
                "cv_f1_std": float(results["std_test_f1"][position]),
                "cv_roc_auc": float(results["mean_test_roc_auc"][position]),
                "fit_seconds": float(results["mean_fit_time"][position]),
            },
        }
        for position, params in enumerate(results["params"])
    ]
    return {"candidates": candidates, "best": int(search.best_index_)}


def save_results(family: Family, split: Split, *, folds: int, seed: int) -> Path:
    """Calcula una familia y deja en `PENDING` todo lo que se va a registrar.

    Así lo calculado no se pierde si el servidor deja de responder.

    Returns:
        La carpeta, con el modelo, sus figuras y su registro.
    """
    start = time.perf_counter()
    search = search_family(family, split, folds=folds, seed=seed)
    scores = search.predict_proba(split.X_test)[:, 1]
    metrics = evaluate_classifier(split.y_test, search.predict(split.X_test), scores, seed=seed)
    record = {
        **{"family": family.name, "title": family.title, "folds": folds, "seed": seed},
        **describe_search(search),
        "test": {name: asdict(metrics[name]) for name in ("f1", "roc_auc", "sensitivity", "specificity")},
        "search_seconds": round(time.perf_counter() - start, 2),
        **{"data_sha256": sha256_of(HEART_CSV), "git_commit": git_commit()},
        "versions": package_versions(*PACKAGES),
    }
    folder = PENDING / f"{datetime.now(timezone.utc):%Y%m%dT%H%M%S%f}-{family.name}"
    with replace_folder(folder) as staging:
        save_model(search.best_estimator_, staging / MODEL)
        plot_roc(split.y_test, scores, metrics["roc_auc"]).savefig(staging / FIGURES[0], dpi=DPI)
        plot_confusion(metrics, CLASS_NAMES).savefig(staging / FIGURES[1], dpi=DPI)
        write_json(staging / RECORD, record)
    return folder


def pending_results() -> list[Path]:
    """Carpetas que esperan en `PENDING`, de la más antigua a la más nueva."""
    return sorted(path.parent for path in PENDING.glob(f"*/{RECORD}"))
