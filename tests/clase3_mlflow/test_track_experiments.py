"""El seguimiento: lo registrado es lo que mide scikit-learn, y dice con qué se hizo."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

import mlflow
import numpy as np
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run
from sklearn.metrics import f1_score, roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_score, train_test_split

from clase3_mlflow import track_experiments
from clase3_mlflow.families import build_families
from shared import ROOT
from shared.datasets import HEART_FEATURES, encode_heart, load_heart
from tests.clase3_mlflow.conftest import FOLDS, SEED, log_results, parents, run_of_family, runs_of

FAMILIES = ("svm", "logistic", "forest", "boosting")
# Las combinaciones de cada rejilla, contadas a mano: 3 C × 2 gamma + 3 C en el SVM, 4 en las demás.
GRID_SIZES = {"svm": 9, "logistic": 4, "forest": 4, "boosting": 4}


@pytest.fixture(scope="module")
def tracked(server: str, results: Path) -> MlflowClient:
    """Cliente de un servidor con las cuatro búsquedas registradas; estas pruebas solo lo leen."""
    return log_results(server, results)


@pytest.fixture(scope="module")
def run_of(tracked: MlflowClient) -> Callable[[str], Run]:
    """Da la búsqueda registrada de una familia."""
    return partial(run_of_family, tracked)


def split() -> list:
    heart = load_heart()
    y = heart["target"]
    return train_test_split(encode_heart(heart), y, test_size=0.2, random_state=SEED, stratify=y)


def test_each_family_is_a_run_with_one_nested_run_per_combination(tracked: MlflowClient):
    assert sorted(run.data.tags["family"] for run in parents(tracked)) == sorted(FAMILIES)
    names = {run.info.run_id: run.data.tags["family"] for run in parents(tracked)}
    children = [run for run in runs_of(tracked) if "mlflow.parentRunId" in run.data.tags]
    assert Counter(names[run.data.tags["mlflow.parentRunId"]] for run in children) == GRID_SIZES
    assert {run.info.status for run in runs_of(tracked)} == {"FINISHED"}


@pytest.mark.parametrize("name", FAMILIES)
def test_the_cross_validated_score_is_that_of_scikit_learn(run_of: Callable[[str], Run], name: str):
    run = run_of(name)
    X_train, _, y_train, _ = split()
    family = build_families(seed=SEED)[name]
    # Los parámetros vuelven de MLflow como texto; se buscan en la rejilla los que dicen lo mismo.
    grid = {key: value for step in family.grid for key, value in step.items()}
    best = {
        key: next(value for value in values if str(value) == run.data.params[key.rsplit("__")[-1]])
        for key, values in grid.items()
        if key.rsplit("__")[-1] in run.data.params
    }
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=SEED)
    for metric, scoring in (("cv_f1", "f1"), ("cv_roc_auc", "roc_auc")):
        scores = cross_val_score(family.model.set_params(**best), X_train, y_train, scoring=scoring, cv=folds)
        assert run.data.metrics[metric] == pytest.approx(scores.mean())


def test_the_run_carries_the_best_of_its_combinations(tracked: MlflowClient, run_of: Callable[[str], Run]):
    for name in FAMILIES:
        run = run_of(name)
        children = [each for each in runs_of(tracked) if each.data.tags.get("mlflow.parentRunId") == run.info.run_id]
        assert run.data.metrics["cv_f1"] == max(child.data.metrics["cv_f1"] for child in children)


@pytest.mark.parametrize("name", FAMILIES)
def test_the_logged_model_gives_the_test_metrics(run_of: Callable[[str], Run], name: str):
    run = run_of(name)
    [output] = run.outputs.model_outputs
    model = mlflow.sklearn.load_model(f"models:/{output.model_id}")
    _, X_test, _, y_test = split()
    assert run.data.metrics["test_f1"] == pytest.approx(f1_score(y_test, model.predict(X_test)))
    chance = model.predict_proba(X_test)[:, 1]
    assert run.data.metrics["test_roc_auc"] == pytest.approx(roc_auc_score(y_test, chance))
    assert run.data.metrics["test_f1_low"] < run.data.metrics["test_f1"] < run.data.metrics["test_f1_high"]
    # Como función de Python genérica, el servidor de modelos da las probabilidades, no las clases.
    generic = mlflow.pyfunc.load_model(f"models:/{output.model_id}").predict(X_test.head(3))
    assert np.asarray(generic)[:, 1] == pytest.approx(chance[:3])


def test_the_run_says_with_which_data_code_and_versions(run_of: Callable[[str], Run]):
    run = run_of("svm")
    lines = (ROOT / "shared" / "data" / "SHA256SUMS").read_text(encoding="utf-8").splitlines()
    assert f"{run.data.tags['data_sha256']}  heart.csv" in lines
    assert run.data.tags["version.python"] == ".".join(map(str, sys.version_info[:3]))
    assert len(run.data.tags["git_commit"].removesuffix("-dirty")) == 40
    [used] = run.inputs.dataset_inputs
    assert used.dataset.name == "heart-cleveland"
    profile = json.loads(used.dataset.profile)
    assert profile["num_rows"] == 242
    assert "archive.ics.uci.edu" in used.dataset.source
    assert used.dataset.digest


def test_the_data_digest_changes_with_the_data(tracked: MlflowClient, run_of: Callable[[str], Run]):
    digests = {run_of(name).inputs.dataset_inputs[0].dataset.digest for name in FAMILIES}
    assert len(digests) == 1
    with mlflow.start_run(experiment_id=run_of("svm").info.experiment_id) as run:
        track_experiments.log_data(SEED + 1)
    assert tracked.get_run(run.info.run_id).inputs.dataset_inputs[0].dataset.digest not in digests


def test_the_model_carries_signature_example_and_pinned_packages(run_of: Callable[[str], Run]):
    [output] = run_of("forest").outputs.model_outputs
    info = mlflow.models.get_model_info(f"models:/{output.model_id}")
    assert [column.name for column in info.signature.inputs] == list(HEART_FEATURES)
    assert info.signature.outputs.to_dict()[0]["tensor-spec"]["shape"] == (-1, 2)
    files = {item.path for item in mlflow.artifacts.list_artifacts(artifact_uri=f"models:/{output.model_id}")}
    assert {"MLmodel", "model.skops", "input_example.json", "requirements.txt"} <= files
    assert not any(name.endswith((".pkl", ".pickle")) for name in files)
