"""Evalúa el modelo con pacientes que no vio al entrenar.

python clase1_buenas_practicas/test_model.py
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import typer
from sklearn.dummy import DummyClassifier
from sklearn.pipeline import Pipeline

from clase1_buenas_practicas.etl import DATA_FOLDER, OUTPUTS, read_partition
from clase1_buenas_practicas.train_model import MODEL_FILE, MODEL_FOLDER, MODEL_RECORD, TRAIN_MODEL
from shared.commands import MAX_SEED, run_script
from shared.datasets import HEART_FEATURES, HEART_TARGET, encode_heart
from shared.errors import ModelError
from shared.models import Interval, check_features, evaluate_classifier, load_model, measure_classifier
from shared.outputs import package_versions, read_json, refuse_other_run, replace_folder, sha256_of, write_json
from shared.plots import DPI, plot_confusion, plot_roc

EVALUATION_FOLDER = "evaluacion"
EVALUATION_RECORD = "evaluation.json"
RESAMPLES = 1000
RETRAIN = "Entrénelo de nuevo: `python clase1_buenas_practicas/train_model.py --force`"
CLASS_NAMES = ("sin enfermedad", "con enfermedad")


def load_trained_model(folder: Path, *, train_sha256: str) -> tuple[Pipeline, dict[str, Any]]:
    """Abre el modelo y su registro, y comprueba que se entrenó con la partición de entrenamiento de ahora.

    Raises:
        ModelError: si falta, no es un modelo, espera otras columnas, o no se sabe que se entrenara con esta
            partición: pudo ver pacientes de prueba.
    """
    record = read_json(folder / MODEL_RECORD, next_step=TRAIN_MODEL)
    model = load_model(folder / MODEL_FILE, next_step=TRAIN_MODEL)
    check_features(model, HEART_FEATURES, next_step=TRAIN_MODEL)
    if record.get("parameters", {}).get("train_sha256") != train_sha256:
        raise ModelError(
            "El modelo se entrenó con otra partición de los datos.",
            why="Pudo ver pacientes de prueba al entrenar, y su F1 parecería mejor de lo que es.",
            next_step=RETRAIN,
        )
    if record.get("model_sha256") != sha256_of(folder / MODEL_FILE):
        raise ModelError(
            f"`{MODEL_FILE}` no es el modelo que describe `{MODEL_RECORD}`.",
            why="Se cambió después de entrenar, y no se sabe con qué pacientes.",
            next_step=RETRAIN,
        )
    return model, record


def evaluate_model(model: Pipeline, test: pd.DataFrame, *, seed: int) -> dict[str, Interval]:
    """Métricas del modelo sobre la partición de prueba (n, 14), con intervalos del 95 %."""
    features = encode_heart(test)
    scores = model.predict_proba(features)[:, 1]
    return evaluate_classifier(test[HEART_TARGET], model.predict(features), scores, resamples=RESAMPLES, seed=seed)


def measure_baseline(train: pd.DataFrame, test: pd.DataFrame) -> dict[str, float]:
    """Métricas de responder siempre «con enfermedad», la regla sin datos que más F1 consigue."""
    dummy = DummyClassifier(strategy="constant", constant=1).fit(encode_heart(train), train[HEART_TARGET])
    answers = dummy.predict(encode_heart(test))
    return {name: float(value) for name, value in measure_classifier(test[HEART_TARGET], answers, answers).items()}


def write_evaluation(
    folder: Path, model: Pipeline, test: pd.DataFrame, metrics: dict[str, Interval], record: dict[str, Any]
) -> None:
    """Escribe la curva ROC y la matriz de confusión en PNG, y el registro en JSON; o todo, o nada."""
    scores = model.predict_proba(encode_heart(test))[:, 1]
    with replace_folder(folder) as staging:
        plot_roc(test[HEART_TARGET], scores, metrics["roc_auc"]).savefig(staging / "roc.png", dpi=DPI)
        plot_confusion(metrics, CLASS_NAMES).savefig(staging / "confusion.png", dpi=DPI)
        write_json(staging / EVALUATION_RECORD, record)


def describe(metrics: dict[str, Interval], baseline: dict[str, float]) -> str:
    """Una línea por métrica: valor, intervalo del 95 % y, al lado, el de la referencia."""
    labels = {"f1": "F1", "roc_auc": "AUC", "sensitivity": "Sensibilidad", "specificity": "Especificidad"}
    return "\n".join(
        f"{label:<14}{metrics[name].value:.3f}  [{metrics[name].low:.3f}; {metrics[name].high:.3f}]"
        f"  siempre «con enfermedad»: {baseline[name]:.3f}"
        for name, label in labels.items()
    )


def require_f1(f1: Interval, floor: float) -> None:
    """Comprueba que el F1 llega al mínimo.

    Raises:
        ModelError: si no llega; la evaluación ya está escrita.
    """
    if f1.value < floor:
        raise ModelError(
            f"El F1 es {f1.value:.3f}, menor que el mínimo pedido, {floor:.3f}.",
            why=f"Su intervalo del 95 % va de {f1.low:.3f} a {f1.high:.3f}.",
            next_step="Revise los datos y el modelo, o pida un mínimo menor con `--min-f1`.",
        )


def main(
    output: Annotated[
        Path, typer.Option(help="Carpeta de la ejecución; escribe en su «evaluacion».", show_default="salidas")
    ] = OUTPUTS,
    min_f1: Annotated[float, typer.Option(min=0, max=1, help="Falla si el F1 queda por debajo.")] = 0.0,
    seed: Annotated[int, typer.Option(min=0, max=MAX_SEED, help="Semilla de los remuestreos.")] = 42,
    force: Annotated[bool, typer.Option("--force", help="Sustituir la evaluación de otra ejecución.")] = False,
) -> None:
    """Evalúa el modelo con pacientes que no vio al entrenar."""
    train, train_sha256 = read_partition(output / DATA_FOLDER, "train")
    test, test_sha256 = read_partition(output / DATA_FOLDER, "test")
    model, model_record = load_trained_model(output / MODEL_FOLDER, train_sha256=train_sha256)
    parameters = {"test_sha256": test_sha256, "model": model_record["parameters"], "seed": seed}
    refuse_other_run(output / EVALUATION_FOLDER, EVALUATION_RECORD, parameters, force=force)
    metrics = evaluate_model(model, test, seed=seed)
    baseline = measure_baseline(train, test)
    intervals = {name: asdict(interval) for name, interval in metrics.items()}
    versions = package_versions("scikit-learn", "scipy", "matplotlib")
    record = {"parameters": parameters, "rows": len(test), "model": intervals, "baseline": baseline}
    write_evaluation(output / EVALUATION_FOLDER, model, test, metrics, {**record, "versions": versions})
    typer.echo(f"{describe(metrics, baseline)}\nEscrito en {output / EVALUATION_FOLDER}")
    require_f1(metrics["f1"], min_f1)


if __name__ == "__main__":
    run_script(main)
