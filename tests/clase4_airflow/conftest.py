"""S3 y MLflow de verdad para las pruebas de la clase, y `airflow` ejecutado como en una terminal."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from clase4_airflow.storage import Storage
from clase4_airflow.upload_data import SOURCE, make_storage
from shared import ROOT
from shared.datasets import HEART_CSV
from shared.registry import connect
from shared.services import mlflow as mlflow_service
from shared.services import s3 as s3_service
from shared.services.airflow import CONFIG, airflow_settings
from shared.services.base import Endpoint

MAX_DAG_SECONDS = 300

Airflow = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def s3() -> Iterator[Endpoint]:
    """El almacén de objetos de esta sesión."""
    with s3_service.running() as endpoint:
        yield endpoint


@pytest.fixture
def storage(s3: Endpoint) -> Storage:
    """El almacén, vacío salvo por los pacientes."""
    storage = make_storage(s3)
    for item in storage.list_objects(""):
        storage.delete(item["Key"])
    storage.write(SOURCE, HEART_CSV.read_bytes())
    return storage


@pytest.fixture(scope="session")
def airflow_home(tmp_path_factory: pytest.TempPathFactory, s3: Endpoint) -> Path:
    """La carpeta de Airflow, con su base de datos y sus plazas."""
    home = tmp_path_factory.mktemp("airflow")
    for arguments in (["db", "migrate"], ["pools", "import", str(CONFIG / "pools.json")]):
        run_airflow(home, s3, *arguments, check=True)
    return home


@pytest.fixture
def airflow(airflow_home: Path, s3: Endpoint) -> Airflow:
    """Ejecuta una orden de `airflow`; las variables que se le den ganan a las de la sesión."""

    def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return run_airflow(airflow_home, s3, *arguments, **variables)

    return run


def run_airflow(
    home: Path, s3: Endpoint, *arguments: str, check: bool = False, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Ejecuta `airflow …` con la configuración del laboratorio."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in s3.environment.items():
            patch.setenv(name, value)
        environment = {**os.environ, **airflow_settings(home), **variables}
    return subprocess.run(
        [sys.executable, "-m", "airflow", *arguments],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=MAX_DAG_SECONDS,
        check=check,
    )


@pytest.fixture
def mlflow_server() -> Iterator[str]:
    """Dirección de un servidor de MLflow sin modelos registrados: lo comparte con las pruebas de otras clases."""
    with mlflow_service.running() as endpoint:
        forget_models(endpoint.url)
        yield endpoint.url


def forget_models(url: str) -> None:
    """Borra del registro de un servidor todos los modelos."""
    client = connect(url)
    for model in client.search_registered_models():
        client.delete_registered_model(model.name)
