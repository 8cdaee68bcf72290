"""Los archivos: se listan con su tamaño, se descargan iguales, se echan en falta y se limpian."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import mlflow
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run, ViewType

from clase3_mlflow import manage_artifacts
from clase3_mlflow.experiment import EXPERIMENT
from clase3_mlflow.search import MODEL
from shared.errors import DataError, ServiceError
from shared.settings import get_settings
from tests.clase3_mlflow.programs import run_program


def files_in(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file()}


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def store(server: str) -> Path:
    """La carpeta de artefactos del servidor embebido."""
    assert server
    return get_settings().labs_home / "mlflow" / "artifacts"


def folders_of(store: Path, run: Run) -> list[Path]:
    """Las carpetas del almacén de una búsqueda: la suya y la de su modelo."""
    experiment = store / run.info.experiment_id
    models = [experiment / "models" / output.model_id for output in run.outputs.model_outputs]
    return [experiment / run.info.run_id, *models]


@pytest.mark.usefixtures("tracked")
def test_the_list_says_what_each_run_takes_on_disk(
    run_of: Callable[[str], Run], store: Path, capsys: pytest.CaptureFixture[str]
):
    capsys.readouterr()
    manage_artifacts.list_runs()
    lines = capsys.readouterr().out.splitlines()
    total = 0
    for family in ("svm", "forest"):
        size = sum(path.stat().st_size for folder in folders_of(store, run_of(family)) for path in files_in(folder))
        [line] = [line for line in lines if line.startswith(run_of(family).info.run_id[:8])]
        assert line.split()[1:] == [family, f"{size / 1000:.0f}", "kB"]
        total += size
    assert float(lines[-1].split()[-2]) > total / 1000


def test_what_is_downloaded_is_what_was_stored(run_of: Callable[[str], Run], results: Path, tmp_path: Path):
    run = run_of("logistic")
    manage_artifacts.download(run.info.run_id[:6], output=tmp_path)
    folder = tmp_path / run.info.run_id[:8]
    [source] = results.glob("*-logistic")
    assert digest(folder / "roc.png") == digest(source / "roc.png")
    assert mlflow.sklearn.load_model(str(folder / "modelo")).get_params()["classifier"].C > 0
    assert (folder / "modelo" / MODEL).is_file()


def test_an_identifier_that_is_not_there_or_is_ambiguous_is_explained(tracked: MlflowClient, tmp_path: Path):
    with pytest.raises(DataError, match="Ninguna búsqueda empieza por «zz»"):
        manage_artifacts.find_run(tracked, "zz")
    with pytest.raises(DataError, match="4 búsquedas empiezan por «»"):
        manage_artifacts.find_run(tracked, "")
    assert not list(tmp_path.iterdir())


def test_a_removed_object_is_reported(
    champion: MlflowClient, run_of: Callable[[str], Run], store: Path, capsys: pytest.CaptureFixture[str]
):
    del champion
    manage_artifacts.check()
    assert "Todo lo anotado está en el almacén." in capsys.readouterr().out
    run_folder, model_folder = folders_of(store, run_of("svm"))
    [figure] = run_folder.rglob("roc.png")
    [model] = model_folder.rglob(MODEL)
    figure.unlink()
    model.unlink()
    with pytest.raises(ServiceError, match="Faltan archivos: 3"):
        manage_artifacts.check()
    said = capsys.readouterr().out
    assert f"{run_of('svm').info.run_id[:8]}: falta roc.png" in said
    assert f"{run_of('svm').info.run_id[:8]}: falta {MODEL}" in said
    assert "heart-svm, versión 1: sus archivos ya no están" in said


def test_the_model_of_a_registered_version_is_not_deleted(champion: MlflowClient, run_of: Callable[[str], Run]):
    run = run_of("svm")
    with pytest.raises(DataError, match="La versión 1 de «heart-svm» usa el modelo"):
        manage_artifacts.delete(run.info.run_id)
    assert champion.get_run(run.info.run_id).info.lifecycle_stage == "active"


def test_gc_removes_what_was_deleted_and_nothing_else(tracked: MlflowClient, run_of: Callable[[str], Run], store: Path):
    removed, kept = run_of("forest"), run_of("svm")
    manage_artifacts.delete(removed.info.run_id)
    # Hasta la limpieza, los archivos siguen ahí y se puede recuperar.
    assert all(files_in(folder) for folder in folders_of(store, removed))
    before = {path: digest(path) for folder in folders_of(store, kept) for path in files_in(folder)}

    result = run_program("manage_artifacts.py", "gc", "--backend-store-uri", _database(store))
    assert result.returncode == 0, result.stderr
    assert "No queda nada marcado como borrado." in result.stdout
    assert not [path for folder in folders_of(store, removed) for path in files_in(folder)]
    assert {path: digest(path) for folder in folders_of(store, kept) for path in files_in(folder)} == before
    experiment = tracked.get_experiment_by_name(EXPERIMENT).experiment_id
    assert tracked.search_runs([experiment], run_view_type=ViewType.DELETED_ONLY) == []
    # Las 3 búsquedas que quedan, con sus 9, 4 y 4 combinaciones.
    assert len(tracked.search_runs([experiment])) == 3 + 9 + 4 + 4


def test_what_was_deleted_can_be_restored_whole_until_gc(tracked: MlflowClient, run_of: Callable[[str], Run]):
    run = run_of("forest")
    [output] = run.outputs.model_outputs
    manage_artifacts.delete(run.info.run_id)
    tracked.restore_run(run.info.run_id)
    manage_artifacts.list_runs()
    manage_artifacts.check()
    assert mlflow.sklearn.load_model(f"models:/{output.model_id}")


def test_gc_knows_the_database_of_the_embedded_server(
    tracked: MlflowClient, run_of: Callable[[str], Run], store: Path, monkeypatch: pytest.MonkeyPatch
):
    run = run_of("forest")
    manage_artifacts.delete(run.info.run_id)
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    result = run_program("manage_artifacts.py", "gc")
    assert result.returncode == 0, result.stderr
    assert not [path for folder in folders_of(store, run) for path in files_in(folder)]
    assert len(tracked.search_runs([run.info.experiment_id], "tags.family != ''")) == 3


def test_gc_of_another_database_says_that_nothing_was_cleaned(
    tracked: MlflowClient, run_of: Callable[[str], Run], tmp_path: Path
):
    run = run_of("forest")
    manage_artifacts.delete(run.info.run_id)
    result = run_program("manage_artifacts.py", "gc", "--backend-store-uri", f"sqlite:///{tmp_path / 'otra.db'}")
    assert result.returncode == 1
    # La búsqueda y sus cuatro combinaciones.
    assert "Siguen ahí 5 ejecuciones" in result.stderr
    assert tracked.get_run(run.info.run_id).info.lifecycle_stage == "deleted"


def test_what_was_cut_is_listed_and_can_be_deleted(tracked: MlflowClient, capsys: pytest.CaptureFixture[str]):
    experiment = tracked.get_experiment_by_name(EXPERIMENT).experiment_id
    cut = tracked.create_run(experiment, tags={"family": "svm", "title": "SVM"})
    tracked.set_terminated(cut.info.run_id, "KILLED")
    capsys.readouterr()
    manage_artifacts.list_runs()
    [line] = [line for line in capsys.readouterr().out.splitlines() if line.startswith(cut.info.run_id[:8])]
    assert line.endswith("KILLED")
    manage_artifacts.delete(cut.info.run_id)
    assert tracked.get_run(cut.info.run_id).info.lifecycle_stage == "deleted"


def _database(store: Path) -> str:
    return f"sqlite:///{store.parent.resolve() / 'mlflow.db'}"


def test_gc_of_a_server_elsewhere_asks_for_its_database(server: str):
    result = run_program("manage_artifacts.py", "gc", MLFLOW_TRACKING_URI=server)
    assert result.returncode == 1
    assert "--backend-store-uri" in result.stderr
