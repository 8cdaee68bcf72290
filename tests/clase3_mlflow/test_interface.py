"""La interfaz de MLflow, vista en un navegador: el experimento, la comparación y el modelo con sus alias."""

from __future__ import annotations

import json
from collections.abc import Iterator
from urllib.parse import quote

import pytest
from mlflow import MlflowClient
from playwright.sync_api import Page

from clase3_mlflow.experiment import EXPERIMENT
from shared.registry import CHALLENGER, MODEL_NAME
from tests.browser import open_page
from tests.clase3_mlflow.conftest import parents

pytestmark = pytest.mark.chromium

SECONDS = 60
FAMILIES = ("svm", "logistic", "forest", "boosting")


@pytest.fixture
def page() -> Iterator[Page]:
    with open_page() as page:
        page.set_default_timeout(SECONDS * 1000)
        yield page


def open_screen(page: Page, address: str, *texts: str) -> None:
    """Abre una pantalla y espera a ver en ella esos textos, enteros."""
    page.goto(address)
    for text in texts:
        page.get_by_text(text, exact=True).first.wait_for()


def test_the_experiment_and_the_comparison_of_its_runs(tracked: MlflowClient, server: str, page: Page):
    experiment = tracked.get_experiment_by_name(EXPERIMENT).experiment_id
    open_screen(page, f"{server}/#/experiments/{experiment}/runs", EXPERIMENT, *FAMILIES, "25")
    runs = [run.info.run_id for run in parents(tracked)]
    query = f"runs={quote(json.dumps(runs))}&experiments={quote(json.dumps([experiment]))}"
    open_screen(page, f"{server}/#/compare-runs?{query}", "Comparing 4 Runs from 1 Experiment", *FAMILIES)
    page.get_by_text("Parallel Coordinates Plot").wait_for()
    assert page.locator(".js-plotly-plot .parcoords").count() >= 1


def test_the_registered_model_shows_its_aliases_and_its_decision(champion: MlflowClient, server: str, page: Page):
    run = next(run for run in parents(champion) if run.data.tags["family"] == "svm")
    [output] = run.outputs.model_outputs
    challenger = champion.create_model_version(MODEL_NAME, f"models:/{output.model_id}", model_id=output.model_id)
    champion.set_registered_model_alias(MODEL_NAME, CHALLENGER, challenger.version)
    open_screen(page, f"{server}/#/models/{MODEL_NAME}", MODEL_NAME, "Version 1", "Version 2")
    rows = page.get_by_role("row").filter(has_text="Version")
    shown = {name: rows.filter(has_text=name).inner_text() for name in ("Version 1", "Version 2")}
    assert "@\xa0champion" in shown["Version 1"]
    assert "@\xa0challenger" in shown["Version 2"]
    open_screen(page, f"{server}/#/models/{MODEL_NAME}/versions/1", "no había campeón", "Source Run")
