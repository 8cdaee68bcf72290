"""La evaluación mide con pacientes nuevos, se compara con una referencia y rechaza lo que no corresponde."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image
from sklearn.metrics import confusion_matrix, f1_score, roc_auc_score

from clase1_buenas_practicas.etl import main as etl
from clase1_buenas_practicas.etl import read_partition
from clase1_buenas_practicas.test_model import main as evaluate
from clase1_buenas_practicas.train_model import main as train_model
from shared.datasets import HEART_FEATURES, encode_heart
from shared.errors import DataError, LabError, ModelError
from shared.models import heart_svm, load_model, save_model
from shared.outputs import read_json, sha256_of, write_json


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Carpeta con los tres pasos hechos; las pruebas no la cambian."""
    folder = tmp_path_factory.mktemp("ejecucion")
    etl(output=folder)
    train_model(output=folder)
    evaluate(output=folder)
    return folder


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    """Copia de la ejecución que una prueba puede estropear."""
    shutil.copytree(finished, tmp_path / "ejecucion")
    return tmp_path / "ejecucion"


@pytest.fixture(scope="module")
def evaluation(finished: Path) -> dict:
    return json.loads((finished / "evaluacion" / "evaluation.json").read_text(encoding="utf-8"))


def test_the_metrics_are_those_of_scikit_learn_on_the_test_partition(finished: Path, evaluation: dict):
    test, _ = read_partition(finished / "datos", "test")
    model = load_model(finished / "modelo" / "model.skops", next_step="")
    predicted, truth = model.predict(encode_heart(test)), test["target"]
    metrics = {name: interval["value"] for name, interval in evaluation["model"].items()}
    assert metrics["f1"] == pytest.approx(f1_score(truth, predicted), abs=5e-5)
    assert metrics["roc_auc"] == pytest.approx(
        roc_auc_score(truth, model.predict_proba(encode_heart(test))[:, 1]), abs=5e-5
    )
    assert [metrics[name] for name in ("tn", "fp", "fn", "tp")] == confusion_matrix(truth, predicted).ravel().tolist()
    assert evaluation["rows"] == 61


def test_the_score_is_that_of_a_sound_pipeline_without_leaks(evaluation: dict):
    f1 = evaluation["model"]["f1"]
    assert 0.75 < f1["value"] < 0.90
    assert f1["low"] < f1["value"] < f1["high"]


def test_the_baseline_is_the_one_computed_by_hand(evaluation: dict):
    # Responder siempre «sí» acierta a los 28 enfermos y falla en los 33 sanos: F1 = 2·28 / (2·28 + 33).
    baseline = evaluation["baseline"]
    assert baseline["f1"] == pytest.approx(56 / 89)
    assert baseline["roc_auc"] == 0.5
    assert (baseline["sensitivity"], baseline["specificity"]) == (1.0, 0.0)


def test_the_figures_are_images_with_something_in_them(finished: Path):
    for name in ("roc", "confusion"):
        with Image.open(finished / "evaluacion" / f"{name}.png") as image:
            assert image.size == (600, 540)
            assert len(image.convert("RGB").getcolors(100_000) or []) > 50


def test_a_floor_above_the_score_fails_after_writing_the_evaluation(run: Path):
    shutil.rmtree(run / "evaluacion")
    with pytest.raises(ModelError, match=r"El F1 es 0\.\d+, menor que el mínimo pedido, 0\.990"):
        evaluate(output=run, min_f1=0.99)
    assert (run / "evaluacion" / "evaluation.json").is_file()
    evaluate(output=run, min_f1=0.5)


def test_without_a_model_it_says_which_step_comes_first(run: Path):
    shutil.rmtree(run / "modelo")
    with pytest.raises(DataError, match=r"No encuentro.*python clase1_buenas_practicas/train_model\.py"):
        evaluate(output=run)


def test_a_file_that_is_not_a_model_is_refused_and_the_evaluation_kept(run: Path):
    before = sha256_of(run / "evaluacion" / "evaluation.json")
    (run / "modelo" / "model.skops").write_text("no soy un modelo", encoding="utf-8")
    with pytest.raises(ModelError, match="no es un modelo guardado con skops"):
        evaluate(output=run)
    assert sha256_of(run / "evaluacion" / "evaluation.json") == before


def test_a_model_of_other_columns_is_refused(run: Path):
    train, _ = read_partition(run / "datos", "train")
    renamed = encode_heart(train).rename(columns={"age": "edad"})
    save_model(heart_svm().fit(renamed, train["target"]), run / "modelo" / "model.skops")
    with pytest.raises(ModelError, match=r"otras columnas.*faltan: age\. Le sobran: edad"):
        evaluate(output=run)


def test_a_model_that_may_have_seen_the_test_patients_is_refused(run: Path):
    etl(output=run, seed=7, force=True)
    with pytest.raises(ModelError, match=r"otra partición.*train_model\.py --force"):
        evaluate(output=run)


def test_a_model_swapped_after_training_is_refused(run: Path):
    """Entrenado con los 303 pacientes daría un F1 perfecto, y nadie sabría por qué."""
    everyone = pd.concat([read_partition(run / "datos", name)[0] for name in ("train", "test")])
    save_model(heart_svm().fit(encode_heart(everyone), everyone["target"]), run / "modelo" / "model.skops")
    with pytest.raises(ModelError, match=r"no es el modelo que describe.*train_model\.py --force"):
        evaluate(output=run)


def test_another_seed_does_not_replace_the_evaluation_silently(run: Path):
    with pytest.raises(LabError, match=r"otra ejecución.*seed: 42 → 1.*--force"):
        evaluate(output=run, seed=1)
    evaluate(output=run, seed=1, force=True)


def test_a_damaged_model_record_is_explained(run: Path):
    record = read_json(run / "modelo" / "model.json", next_step="")
    write_json(run / "modelo" / "model.json", {**record, "parameters": {}})
    with pytest.raises(ModelError, match="otra partición"):
        evaluate(output=run)
    (run / "modelo" / "model.json").write_text("{", encoding="utf-8")
    with pytest.raises(DataError, match="no es un JSON legible"):
        evaluate(output=run)


def test_the_partitions_do_not_share_patients(finished: Path):
    train, _ = read_partition(finished / "datos", "train")
    test, _ = read_partition(finished / "datos", "test")
    together = pd.concat([train, test])
    assert together.duplicated(subset=list(HEART_FEATURES)).sum() == 0
