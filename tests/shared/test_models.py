"""Los modelos no filtran datos, se miden como dice la teoría y vuelven iguales del disco."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import confusion_matrix, f1_score, recall_score, roc_auc_score
from sklearn.pipeline import make_pipeline

from shared.datasets import HEART_FEATURES, encode_heart, load_heart
from shared.errors import DataError, ModelError
from shared.models import (
    check_features,
    evaluate_classifier,
    heart_preprocessing,
    heart_svm,
    load_model,
    measure_classifier,
    save_model,
)


@pytest.fixture(scope="module")
def heart() -> pd.DataFrame:
    return load_heart()


@pytest.fixture(scope="module")
def model(heart: pd.DataFrame):
    return heart_svm().fit(encode_heart(heart), heart["target"])


def test_preprocessing_matches_a_computation_by_hand(heart: pd.DataFrame):
    encoded = encode_heart(heart)
    output = heart_preprocessing().fit_transform(encoded)
    # 8 columnas numéricas y 2 + 4 + 3 + 3 + 3 categorías.
    assert output.shape == (303, 8 + 15)
    vessels = encoded["ca"].astype("float64").fillna(encoded["ca"].median())
    np.testing.assert_allclose(output[:, 7], (vessels - vessels.mean()) / vessels.std(ddof=0), atol=1e-5)
    assert output[:, 8:].sum(axis=1).tolist() == [5.0] * 303


def test_unseen_missing_category_takes_the_most_frequent(heart: pd.DataFrame):
    transformer = heart_preprocessing().fit(encode_heart(heart))
    absent = heart[heart["thal"].isna()]
    # 166 pacientes con «normal», la categoría 0 de las tres últimas columnas.
    assert transformer.transform(encode_heart(absent))[:, -3:].tolist() == [[1, 0, 0], [1, 0, 0]]


def test_imputation_and_scaling_learn_only_from_training_rows(heart: pd.DataFrame):
    train = heart.head(200)
    fitted = heart_svm().fit(encode_heart(train), train["target"])
    scaler = fitted["preprocessing"].named_transformers_["numeric"]["standardscaler"]
    assert scaler.mean_[0] == pytest.approx(train["age"].mean(), abs=1e-4)
    assert scaler.mean_[0] != pytest.approx(heart["age"].mean(), abs=1e-3)


def test_a_table_and_a_float_matrix_give_the_same_probabilities(model, heart: pd.DataFrame):
    encoded = encode_heart(heart)
    with pytest.warns(UserWarning, match="feature names"):
        from_matrix = model.predict_proba(encoded.to_numpy())
    np.testing.assert_array_equal(from_matrix, model.predict_proba(encoded))


def test_metrics_match_the_counts_made_by_hand():
    y_true = [1, 1, 1, 1, 0, 0, 0, 0, 0, 0] * 10
    y_pred = [1, 1, 1, 0, 1, 0, 0, 0, 0, 0] * 10
    y_score = [0.9, 0.8, 0.7, 0.3, 0.6, 0.5, 0.4, 0.2, 0.1, 0.0] * 10
    values = {k: v.value for k, v in evaluate_classifier(y_true, y_pred, y_score, resamples=10, seed=0).items()}
    assert [values[name] for name in ("tn", "fp", "fn", "tp")] == [50, 10, 10, 30]
    assert values["f1"] == pytest.approx(2 * 3 / (2 * 3 + 1 + 1))
    assert values["sensitivity"] == pytest.approx(3 / 4)
    assert values["specificity"] == pytest.approx(5 / 6)
    # De las 24 parejas (enfermo, sano) de cada bloque, solo el enfermo con 0.3 queda por debajo de tres sanos.
    assert values["roc_auc"] == pytest.approx(21 / 24)


def test_metrics_match_scikit_learn_with_ties_and_many_samples_at_once():
    rng = np.random.default_rng(11)
    y_true, y_score = rng.integers(0, 2, (20, 80)), rng.integers(0, 9, (20, 80)) / 8
    y_pred = (y_score > 0.4).astype(int)
    values = measure_classifier(y_true, y_pred, y_score)
    for row in range(20):
        assert values["roc_auc"][row] == pytest.approx(roc_auc_score(y_true[row], y_score[row]))
        assert values["f1"][row] == pytest.approx(f1_score(y_true[row], y_pred[row]))
        assert values["specificity"][row] == pytest.approx(recall_score(y_true[row], y_pred[row], pos_label=0))
        counts = [values[name][row] for name in ("tn", "fp", "fn", "tp")]
        assert counts == confusion_matrix(y_true[row], y_pred[row]).ravel().tolist()


def test_interval_of_a_proportion_matches_the_binomial_formula():
    # Con 400 positivos y 80 % detectados, el error típico de la sensibilidad es sqrt(0.8·0.2/400) = 0.02.
    y_true = np.array([1] * 400 + [0] * 400)
    y_pred = np.array([1] * 320 + [0] * 80 + [0] * 400)
    interval = evaluate_classifier(y_true, y_pred, y_pred.astype(float), resamples=2000, seed=3)["sensitivity"]
    assert interval.low == pytest.approx(0.8 - 1.96 * 0.02, abs=0.005)
    assert interval.high == pytest.approx(0.8 + 1.96 * 0.02, abs=0.005)


def test_intervals_depend_only_on_the_seed():
    rng = np.random.default_rng(5)
    y_true, y_score = rng.integers(0, 2, 60), rng.random(60)
    y_pred = (y_score > 0.5).astype(int)
    first = evaluate_classifier(y_true, y_pred, y_score, resamples=50, seed=1)
    assert first == evaluate_classifier(y_true, y_pred, y_score, resamples=50, seed=1)
    assert first != evaluate_classifier(y_true, y_pred, y_score, resamples=50, seed=2)


def test_saved_model_predicts_the_same(model, heart: pd.DataFrame, tmp_path: Path):
    save_model(model, tmp_path / "model.skops")
    restored = load_model(tmp_path / "model.skops", next_step="")
    encoded = encode_heart(heart)
    np.testing.assert_array_equal(restored.predict_proba(encoded), model.predict_proba(encoded))


class _Intruder(LogisticRegression):
    """Un tipo que nadie revisó."""


def test_files_that_are_not_models_are_rejected(model, tmp_path: Path):
    path = tmp_path / "model.skops"
    with pytest.raises(ModelError, match="No encuentro"):
        load_model(path, next_step="")
    path.write_text("no soy un modelo", encoding="utf-8")
    with pytest.raises(ModelError, match="no es un modelo guardado con skops"):
        load_model(path, next_step="")
    path.write_bytes(pickle.dumps(model))
    with pytest.raises(ModelError, match="no es un modelo guardado con skops"):
        load_model(path, next_step="")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("otra-cosa.txt", "x")
    with pytest.raises(ModelError, match="no es un modelo guardado con skops"):
        load_model(path, next_step="")
    save_model(model, path)
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(ModelError, match="no es un modelo guardado con skops"):
        load_model(path, next_step="Entrene de nuevo.")


def test_models_of_other_types_are_rejected(tmp_path: Path):
    skops.io.dump(LogisticRegression(), tmp_path / "solo.skops")
    with pytest.raises(ModelError, match="contiene un LogisticRegression, no un Pipeline"):
        load_model(tmp_path / "solo.skops", next_step="")
    skops.io.dump(make_pipeline(_Intruder()), tmp_path / "raro.skops")
    with pytest.raises(ModelError, match="tipos que no se revisaron"):
        load_model(tmp_path / "raro.skops", next_step="")


def test_features_must_be_the_trained_ones_in_order(model):
    check_features(model, HEART_FEATURES, next_step="")
    with pytest.raises(ModelError, match=r"Al modelo le faltan: peso\. Le sobran: age"):
        check_features(model, ("peso", *HEART_FEATURES[1:]), next_step="")
    with pytest.raises(ModelError, match="otras columnas"):
        check_features(model, HEART_FEATURES[::-1], next_step="")
    with pytest.raises(ModelError, match="otras columnas"):
        check_features(heart_svm(), HEART_FEATURES, next_step="")


def test_too_few_cases_of_a_class_are_refused_instead_of_giving_empty_intervals():
    y_true = np.array([1] * 9 + [0] * 50)
    with pytest.raises(DataError, match=r"al menos 10 casos de cada clase, y de una hay 9"):
        evaluate_classifier(y_true, y_true, y_true, seed=0)


@pytest.mark.parametrize("schema", ["[]", "{}", "null"])
def test_a_zip_that_is_not_a_model_is_explained(tmp_path: Path, schema: str):
    with zipfile.ZipFile(tmp_path / "model.skops", "w") as archive:
        archive.writestr("schema.json", schema)
    with pytest.raises(ModelError, match="no es un modelo guardado con skops"):
        load_model(tmp_path / "model.skops", next_step="")
