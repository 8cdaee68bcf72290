"""Busca los mejores hiperparámetros del SVM y guarda el modelo entrenado.

python clase1_buenas_practicas/train_model.py
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import typer
from sklearn.model_selection import GridSearchCV, ParameterGrid, StratifiedKFold

from clase1_buenas_practicas.etl import DATA_FOLDER, OUTPUTS, read_partition
from shared.commands import MAX_SEED, run_script
from shared.datasets import HEART_FEATURES, HEART_TARGET, encode_heart
from shared.models import HEART_SVM_GRID, heart_svm, save_model
from shared.outputs import package_versions, refuse_other_run, replace_folder, sha256_of, write_json

MODEL_FOLDER = "modelo"
MODEL_FILE = "model.skops"
MODEL_RECORD = "model.json"
TRAIN_MODEL = "Primero entrene el modelo: `python clase1_buenas_practicas/train_model.py`"


def search_hyperparameters(train: pd.DataFrame, *, folds: int, seed: int) -> GridSearchCV:
    """Busca en la rejilla la combinación con mejor F1 en validación cruzada y la entrena con todo.

    Args:
        train: (n, 14), la partición de entrenamiento.
        folds: particiones de la validación cruzada.
        seed: semilla que las baraja.

    Returns:
        La búsqueda ya hecha; `best_estimator_` es el modelo, entrenado con las n filas.
    """
    splitter = StratifiedKFold(folds, shuffle=True, random_state=seed)
    search = GridSearchCV(heart_svm(), HEART_SVM_GRID, scoring="f1", cv=splitter, error_score="raise")
    return search.fit(encode_heart(train), train[HEART_TARGET])


def summarize_search(search: GridSearchCV) -> dict[str, Any]:
    """Resume la búsqueda: la mejor combinación y el F1 (media y desviación entre particiones) de todas."""
    results = search.cv_results_
    candidates = [
        {"params": params, "f1_mean": round(float(mean), 4), "f1_std": round(float(std), 4)}
        for params, mean, std in zip(
            results["params"], results["mean_test_score"], results["std_test_score"], strict=True
        )
    ]
    best = candidates[search.best_index_]
    return {"best": best, "candidates": sorted(candidates, key=lambda row: row["f1_mean"], reverse=True)}


def describe_best(summary: dict[str, Any]) -> str:
    """La mejor combinación en una frase, con los nombres cortos de sus hiperparámetros."""
    best = summary["best"]
    params = ", ".join(f"{name.rsplit('__')[-1]}={value}" for name, value in best["params"].items())
    return f"F1 en validación cruzada: {best['f1_mean']:.3f} ± {best['f1_std']:.3f} con {params}"


def write_model(search: GridSearchCV, folder: Path, record: dict[str, Any]) -> None:
    """Escribe el modelo y su registro, con la huella del modelo; o los dos, o ninguno."""
    with replace_folder(folder) as staging:
        save_model(search.best_estimator_, staging / MODEL_FILE)
        write_json(staging / MODEL_RECORD, {**record, "model_sha256": sha256_of(staging / MODEL_FILE)})


def main(
    output: Annotated[
        Path, typer.Option(help="Carpeta de la ejecución; escribe en su «modelo».", show_default="salidas")
    ] = OUTPUTS,
    folds: Annotated[int, typer.Option(min=2, max=10, help="Particiones de la validación cruzada.")] = 5,
    seed: Annotated[int, typer.Option(min=0, max=MAX_SEED, help="Semilla de las particiones.")] = 42,
    force: Annotated[bool, typer.Option("--force", help="Sustituir el modelo de otra ejecución.")] = False,
) -> None:
    """Busca los mejores hiperparámetros del SVM y guarda el modelo entrenado."""
    train, train_sha256 = read_partition(output / DATA_FOLDER, "train")
    parameters = {"train_sha256": train_sha256, "folds": folds, "seed": seed, "grid": HEART_SVM_GRID}
    refuse_other_run(output / MODEL_FOLDER, MODEL_RECORD, parameters, force=force)
    typer.echo(f"Probando {len(ParameterGrid(HEART_SVM_GRID))} combinaciones con {folds} particiones…")
    search = search_hyperparameters(train, folds=folds, seed=seed)
    summary = summarize_search(search)
    versions = package_versions("scikit-learn", "skops", "pandas", "numpy")
    record = {"parameters": parameters, "features": list(HEART_FEATURES), **summary, "versions": versions}
    write_model(search, output / MODEL_FOLDER, record)
    typer.echo(f"{describe_best(summary)}\nEscrito en {output / MODEL_FOLDER}")


if __name__ == "__main__":
    run_script(main)
