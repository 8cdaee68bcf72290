"""El registro: quién entra, quién es el campeón, y qué pasa cuando dos lo intentan a la vez."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import mlflow
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run
from sklearn.base import clone
from sklearn.model_selection import StratifiedKFold, cross_val_score, train_test_split

from clase3_mlflow import register_model, search, track_experiments
from clase3_mlflow.experiment import EXPERIMENT, split_heart
from clase3_mlflow.families import TRUSTED_TYPES
from shared import registry
from shared.datasets import encode_heart, load_heart
from shared.errors import ServiceError
from shared.models import heart_svm
from shared.registry import MODEL_NAME, Cases
from tests.clase3_mlflow.conftest import FOLDS, SEED
from tests.clase3_mlflow.programs import run_program, start_program

# Con tan poca C y una anchura tan pequeña, el SVM acaba diciendo casi siempre lo mismo.
WEAK = {"classifier__estimator__C": 0.001, "classifier__estimator__gamma": 1e-4}


def log_svm(client: MlflowClient, *, cv_f1: float, test_f1: float, seed: int = SEED) -> Run:
    """Una búsqueda con un SVM flojo y las métricas que se digan, aunque no sean las suyas."""
    heart = load_heart()
    model = heart_svm().set_params(**WEAK).fit(encode_heart(heart), heart["target"])
    tags = {"family": "svm", "title": "SVM", "git_commit": "0" * 40, "data_sha256": "0" * 64}
    experiment = client.get_experiment_by_name(EXPERIMENT).experiment_id
    with mlflow.start_run(experiment_id=experiment, tags=tags) as run:
        mlflow.log_params({"folds": FOLDS, "seed": seed})
        mlflow.log_metrics({"cv_f1": cv_f1, "test_f1": test_f1})
        mlflow.sklearn.log_model(
            model, name="model", pip_requirements=["scikit-learn"], skops_trusted_types=list(TRUSTED_TYPES)
        )
    return client.get_run(run.info.run_id)


@pytest.fixture
def weak_champion(tracked: MlflowClient) -> MlflowClient:
    """Cliente de un servidor con un campeón flojo, la versión 1, y la búsqueda buena sin registrar."""
    version = registry.register_version(tracked, log_svm(tracked, cv_f1=0.1, test_f1=0.1))
    tracked.set_registered_model_alias(MODEL_NAME, "champion", version.version)
    return tracked


def aliases(client: MlflowClient) -> dict[str, str]:
    return dict(client.get_registered_model(MODEL_NAME).aliases)


def f1_by_folds(model: object) -> float:
    heart = load_heart()
    target = heart["target"]
    X, _, y, _ = train_test_split(encode_heart(heart), target, test_size=0.2, random_state=SEED, stratify=target)
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=SEED)
    return float(cross_val_score(model, X, y, scoring="f1", cv=folds).mean())


def test_the_first_version_is_the_champion_and_says_where_it_comes_from(
    champion: MlflowClient, run_of: Callable[[str], Run]
):
    version = champion.get_model_version_by_alias(MODEL_NAME, "champion")
    run = run_of("svm")
    assert version.run_id == run.info.run_id
    assert version.tags["data_sha256"] == run.data.tags["data_sha256"]
    assert (version.tags["promoted"], version.tags["reason"]) == ("True", "no había campeón")
    assert run.info.run_id[:8] in version.description
    assert aliases(champion) == {"champion": "1"}
    assert champion.get_registered_model(MODEL_NAME).description


def test_only_the_svm_is_registered_although_another_family_scores_higher(
    champion: MlflowClient, run_of: Callable[[str], Run]
):
    assert run_of("logistic").data.metrics["cv_f1"] > run_of("svm").data.metrics["cv_f1"]
    assert [model.name for model in champion.search_registered_models()] == [MODEL_NAME]
    [version] = champion.search_model_versions(f"name = '{MODEL_NAME}'")
    assert version.tags["family"] == "svm"


def test_the_test_set_never_chooses(tracked: MlflowClient):
    flattered = log_svm(tracked, cv_f1=0.1, test_f1=1.0)
    register_model.main()
    assert tracked.get_model_version_by_alias(MODEL_NAME, "champion").run_id != flattered.info.run_id


def test_repeating_it_changes_nothing(champion: MlflowClient, capsys: pytest.CaptureFixture[str]):
    capsys.readouterr()
    register_model.main()
    assert capsys.readouterr().out == "El mejor SVM ya es el campeón: versión 1.\n"
    assert len(champion.search_model_versions(f"name = '{MODEL_NAME}'")) == 1


def test_a_better_challenger_is_promoted(weak_champion: MlflowClient, capsys: pytest.CaptureFixture[str]):
    register_model.main()
    assert "versión 2: promovida a champion" in capsys.readouterr().out
    assert aliases(weak_champion) == {"champion": "2"}
    tags = weak_champion.get_model_version(MODEL_NAME, "2").tags
    assert tags["previous_champion"] == "1"
    best = clone(mlflow.sklearn.load_model(f"models:/{MODEL_NAME}/2"))
    assert float(tags["challenger_f1"]) == pytest.approx(f1_by_folds(best))
    assert float(tags["champion_f1"]) == pytest.approx(f1_by_folds(heart_svm().set_params(**WEAK)))


def test_one_that_only_says_to_be_better_stays_as_challenger(
    champion: MlflowClient, capsys: pytest.CaptureFixture[str]
):
    log_svm(champion, cv_f1=0.99, test_f1=0.99)
    register_model.main()
    assert "versión 2: queda como challenger" in capsys.readouterr().out
    assert aliases(champion) == {"champion": "1", "challenger": "2"}
    tags = champion.get_model_version(MODEL_NAME, "2").tags
    assert tags["promoted"] == "False"
    assert float(tags["challenger_f1"]) < float(tags["champion_f1"])


def test_it_must_win_by_the_margin(weak_champion: MlflowClient):
    register_model.main(margin=1)
    assert aliases(weak_champion) == {"champion": "1", "challenger": "2"}


def test_rollback_returns_to_the_previous_champion_and_the_other_does_not_come_back(
    weak_champion: MlflowClient, results: Path, capsys: pytest.CaptureFixture[str]
):
    register_model.main()
    register_model.main(rollback=True)
    assert aliases(weak_champion)["champion"] == "1"
    # La misma receta, calculada otra vez, tampoco vuelve sola.
    shutil.copytree(results, search.PENDING, dirs_exist_ok=True)
    for folder in search.pending_results():
        folder.rename(folder.with_name(f"9{folder.name}"))
    track_experiments.log_pending(weak_champion)
    capsys.readouterr()
    register_model.main()
    assert capsys.readouterr().out == "El mejor SVM ya es el campeón: versión 1.\n"
    assert aliases(weak_champion) == {"champion": "1"}
    assert len(weak_champion.search_model_versions(f"name = '{MODEL_NAME}'")) == 2


def test_only_searches_of_the_same_patients_and_folds_are_compared(champion: MlflowClient):
    """Con otra semilla el F1 sube o baja varias centésimas por los pacientes que tocaron, no por el modelo."""
    lucky = log_svm(champion, cv_f1=0.99, test_f1=0.99, seed=SEED + 1)
    register_model.main()
    assert aliases(champion) == {"champion": "1"}
    assert not champion.search_model_versions(f"run_id = '{lucky.info.run_id}'")


def test_rollback_without_a_previous_champion_is_explained(champion: MlflowClient):
    with pytest.raises(ServiceError, match="No hay una versión anterior"):
        register_model.main(rollback=True)
    assert aliases(champion) == {"champion": "1"}


@pytest.mark.usefixtures("client")
def test_without_experiments_it_says_which_step_comes_first():
    result = run_program("register_model.py")
    assert result.returncode == 1
    assert "track_experiments.py" in result.stderr
    assert "Traceback" not in result.stderr


def test_two_programs_at_once_leave_one_champion(weak_champion: MlflowClient):
    both = [start_program("register_model.py") for _ in range(2)]
    outputs = []
    for process in both:
        with process:
            outputs.append("".join(process.communicate()))
    assert [process.returncode for process in both] == [0, 0], outputs
    assert sum("versión 2: promovida a champion" in text for text in outputs) == 1
    assert sum("ya es el campeón: versión 2" in text for text in outputs) == 1
    assert aliases(weak_champion) == {"champion": "2"}


def test_a_champion_that_changes_meanwhile_is_compared_again(
    weak_champion: MlflowClient, monkeypatch: pytest.MonkeyPatch
):
    """Otra máquina, que no ve el cerrojo de esta, promueve mientras se compara."""
    experiment = weak_champion.get_experiment_by_name(EXPERIMENT).experiment_id
    [good] = weak_champion.search_runs([experiment], "tags.family = 'svm' and metrics.cv_f1 > 0.5")
    best = registry.register_version(weak_champion, good)
    weak = registry.register_version(weak_champion, log_svm(weak_champion, cv_f1=0.2, test_f1=0.2))
    compared = []
    compare = registry.compare

    def compare_while_another_promotes(f1: float, champion: object, *rest: object, **options: object) -> object:
        decision = compare(f1, champion, *rest, **options)
        compared.append(champion.version)
        if len(compared) == 1:
            weak_champion.set_registered_model_alias(MODEL_NAME, "champion", best.version)
        return decision

    monkeypatch.setattr(registry, "compare", compare_while_another_promotes)
    split = split_heart(seed=SEED)
    decision = registry.promote(weak_champion, weak, Cases(split.X_train, split.y_train, FOLDS, SEED), margin=0)
    assert compared == ["1", best.version]
    assert not decision.promoted
    assert aliases(weak_champion)["champion"] == best.version
