"""La comparación: la tabla dice lo que hay en el servidor, y el filtro es el de MLflow."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run
from PIL import Image

from clase3_mlflow import compare_runs
from clase3_mlflow.experiment import EXPERIMENT
from shared.errors import DataError
from tests.clase3_mlflow.programs import run_program


def test_the_table_has_the_metrics_of_the_server_from_best_to_worst(
    tracked: MlflowClient, run_of: Callable[[str], Run], tmp_path: Path
):
    del tracked
    compare_runs.main(output=tmp_path / "comparacion")
    table = pd.read_csv(tmp_path / "comparacion" / "comparacion.csv", dtype={"Ejecución": str})
    assert list(table["F1 CV"]) == sorted(table["F1 CV"], reverse=True)
    for family in ("svm", "logistic", "forest", "boosting"):
        run = run_of(family)
        [row] = table[table["Ejecución"] == run.info.run_id[:8]].to_dict("records")
        assert row["Familia"] == run.data.tags["title"]
        assert row["F1 CV"] == pytest.approx(run.data.metrics["cv_f1"], abs=0.0005)
        assert row["F1 prueba"] == pytest.approx(run.data.metrics["test_f1"], abs=0.0005)


@pytest.mark.usefixtures("tracked")
def test_the_page_shows_the_same_rows_and_a_figure_with_every_combination(tmp_path: Path):
    compare_runs.main(output=tmp_path / "comparacion")
    page = (tmp_path / "comparacion" / "comparacion.html").read_text(encoding="utf-8")
    shown = re.findall(r"<tr><td>(.*?)</td>", page)
    assert shown == list(pd.read_csv(tmp_path / "comparacion" / "comparacion.csv")["Familia"])
    with Image.open(tmp_path / "comparacion" / "comparacion.png") as image:
        assert image.width > 600
        assert len(image.convert("RGB").getcolors(maxcolors=1_000_000)) > 20
    runs = compare_runs.find_runs("")
    # 9 combinaciones del SVM y 4 de cada una de las otras tres.
    assert compare_runs.find_candidates(runs).groupby("title").size().sort_values().tolist() == [4, 4, 4, 9]


@pytest.mark.usefixtures("tracked")
def test_the_filter_is_the_one_of_mlflow(run_of: Callable[[str], Run]):
    found = compare_runs.find_runs("tags.family = 'svm' and metrics.cv_f1 > 0.5")
    assert list(found["run_id"]) == [run_of("svm").info.run_id]


@pytest.mark.usefixtures("tracked")
def test_a_filter_that_nothing_matches_and_one_that_is_not_understood(tmp_path: Path):
    output = tmp_path / "comparacion"
    with pytest.raises(DataError, match="Ninguna búsqueda cumple"):
        compare_runs.main(condition="metrics.cv_f1 > 2", output=output)
    with pytest.raises(DataError, match="no entiende el filtro"):
        compare_runs.main(condition="f1 mayor que 0.8", output=output)
    assert not output.exists()


def test_a_run_that_was_cut_is_not_compared(tracked: MlflowClient, tmp_path: Path):
    experiment = tracked.get_experiment_by_name(EXPERIMENT).experiment_id
    cut = tracked.create_run(experiment, tags={"family": "svm", "title": "SVM"})
    tracked.log_metric(cut.info.run_id, "cv_f1", 0.999)
    tracked.set_terminated(cut.info.run_id, "KILLED")
    assert cut.info.run_id not in set(compare_runs.find_runs("")["run_id"])
    with pytest.raises(DataError, match="Ninguna búsqueda cumple"):
        compare_runs.main(condition="metrics.cv_f1 > 0.99", output=tmp_path / "comparacion")


@pytest.mark.usefixtures("client")
def test_an_unknown_experiment_says_which_step_comes_first():
    result = run_program("compare_runs.py")
    assert result.returncode == 1
    assert "track_experiments.py" in result.stderr
    assert "Traceback" not in result.stderr
