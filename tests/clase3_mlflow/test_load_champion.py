"""La carga por alias: predice lo que el modelo registrado, y dice qué falta cuando falta."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from clase3_mlflow import load_champion
from clase3_mlflow.search import RECORD
from shared.datasets import encode_heart, load_heart
from shared.errors import DataError, ModelError
from shared.models import load_model
from shared.registry import MODEL_NAME
from shared.settings import get_settings
from tests.clase3_mlflow.programs import run_program


def stored(run: Run) -> Path:
    """La carpeta del almacén embebido con los archivos del modelo de una búsqueda."""
    [output] = run.outputs.model_outputs
    folder = get_settings().labs_home / "mlflow" / "artifacts" / run.info.experiment_id / "models" / output.model_id
    assert (folder / "artifacts" / "model.skops").is_file()
    return folder / "artifacts"


@pytest.mark.usefixtures("champion")
def test_it_predicts_what_the_trained_model_predicts(results: Path):
    [record] = results.glob(f"*-svm/{RECORD}")
    trained = load_model(record.parent / "model.skops", next_step="")
    heart = load_heart()
    result = run_program("load_champion.py", "--rows", "303")
    assert result.returncode == 0, result.stderr
    lines = [line.split() for line in result.stdout.splitlines()]
    assert lines[0][:5] == [f"{MODEL_NAME}@champion", "es", "la", "versión", "1,"]
    shown = [float(line[1]) for line in lines[2:]]
    assert shown == pytest.approx(trained.predict_proba(encode_heart(heart))[:, 1], abs=0.0005)


def test_an_unknown_alias_names_those_that_exist(champion: MlflowClient):
    with pytest.raises(ModelError, match="«sombra»") as caught:
        load_champion.find_version(champion, "sombra")
    assert "Los que hay: champion." in str(caught.value)


def test_without_a_registered_model_it_says_which_step_comes_first(client: MlflowClient):
    with pytest.raises(ModelError, match="«champion»") as caught:
        load_champion.find_version(client, "champion")
    assert "register_model.py" in str(caught.value)


@pytest.mark.usefixtures("champion")
@pytest.mark.parametrize("missing", ["model.skops", "."])
def test_files_that_are_gone_from_the_store_are_explained(run_of: Callable[[str], Run], missing: str):
    target = stored(run_of("svm")) / missing
    shutil.rmtree(target) if target.is_dir() else target.unlink()
    result = run_program("load_champion.py")
    assert result.returncode == 1
    assert "versión 1" in result.stderr
    assert "manage_artifacts.py check" in result.stderr
    assert "Traceback" not in result.stderr


def test_bad_patients_are_refused_before_asking_the_server(tmp_path: Path):
    path = tmp_path / "pacientes.csv"
    path.write_text("age,sex\n63,male\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"pacientes\.csv"):
        load_champion.main(input_csv=path)
