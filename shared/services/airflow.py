"""Airflow en esta máquina: `airflow standalone` sobre SQLite, con pocos procesos, y con S3 y MLflow al lado."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path

from shared import ROOT
from shared.services.base import Launch, Service, probe_http
from shared.services.lifecycle import run_service

DAGS = ROOT / "clase4_airflow" / "dags"
CONFIG = ROOT / "clase4_airflow" / "config"
FILE_BACKEND = "airflow.secrets.local_filesystem.LocalFilesystemBackend"
"""De dónde lee Airflow las variables: de un archivo."""
LOCK_SECONDS = 60
"""Lo que espera cada proceso a que otro termine de escribir en la base de datos."""
PASSED_ON = (
    "AWS_ENDPOINT_URL_S3",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_DEFAULT_REGION",
    "MLFLOW_TRACKING_URI",
)
"""Variables de los servicios que necesita, que también necesitan quienes lo usan."""


def airflow_settings(folder: Path) -> dict[str, str]:
    """Las variables con las que cualquier orden `airflow …` trabaja en esa carpeta.

    Args:
        folder: donde Airflow guarda su base de datos, su configuración y sus registros.
    """
    variables = json.dumps({"variables_file_path": str(CONFIG / "variables.yaml")})
    return {
        "AIRFLOW_HOME": str(folder),
        "AIRFLOW__CORE__DAGS_FOLDER": str(DAGS),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        # SQLite admite un solo escritor: los demás esperan su turno, y no 5 s, que con la máquina ocupada no bastan.
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{folder}/airflow.db?timeout={LOCK_SECONDS}",
        # Las variables, de un archivo; la conexión, de una variable de entorno: su dirección cambia en cada máquina.
        "AIRFLOW__SECRETS__BACKEND": FILE_BACKEND,
        "AIRFLOW__SECRETS__BACKEND_KWARGS": variables,
        "AIRFLOW_CONN_S3_LABS": s3_connection(),
        **{name: os.environ[name] for name in PASSED_ON if name in os.environ},
    }


def s3_connection() -> str:
    """La conexión `s3_labs` de Airflow, con la dirección y las claves de este entorno."""
    return json.dumps(
        {
            "conn_type": "aws",
            "login": os.environ.get("AWS_ACCESS_KEY_ID", ""),
            "password": os.environ.get("AWS_SECRET_ACCESS_KEY", ""),
            "extra": {
                "endpoint_url": os.environ.get("AWS_ENDPOINT_URL_S3", ""),
                "region_name": os.environ.get("AWS_DEFAULT_REGION", "us-east-1"),
            },
        }
    )


class Airflow(Service):
    """Servidor, planificador, lector de DAG y disparador, con dos tareas a la vez; sin contraseña."""

    name = "airflow"
    title = "Airflow"
    variables = ("AIRFLOW__API__BASE_URL",)
    package = "airflow"
    extra = "clase4"
    usual_port = 8080
    first_start_seconds = 60
    start_deadline = 240.0
    needs = ("s3", "mlflow")

    def prepare(self, folder: Path) -> None:
        """Crea la base de datos y las plazas que piden las tareas; si ya están, no cambia nada."""
        for arguments in (["db", "migrate"], ["pools", "import", str(CONFIG / "pools.json")]):
            command = [sys.executable, "-m", "airflow", *arguments]
            subprocess.run(command, env={**os.environ, **airflow_settings(folder)}, check=True)  # noqa: S603

    def launch(self, folder: Path, port: int) -> Launch:
        """Con los valores de fábrica abriría 40 procesos, y hasta 32 tareas a la vez (`benchmarks/airflow.py`)."""
        url = f"http://127.0.0.1:{port}"
        programs = Path(sys.executable).parent
        environment = {
            **airflow_settings(folder),
            "AIRFLOW__API__HOST": "127.0.0.1",
            "AIRFLOW__API__PORT": str(port),
            "AIRFLOW__API__BASE_URL": url,
            "AIRFLOW__API__WORKERS": "1",
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{url}/execution/",
            "AIRFLOW__CORE__PARALLELISM": "2",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
            "AIRFLOW__DAG_PROCESSOR__PARSING_PROCESSES": "1",
            # «standalone» lanza los demás procesos por su nombre.
            "PATH": f"{programs}{os.pathsep}{os.environ.get('PATH', '')}",
        }
        return Launch([sys.executable, "-m", "airflow", "standalone"], url, environment)

    def environment(self, url: str) -> dict[str, str]:
        """Su dirección, y lo que hace falta para usar la orden `airflow` en otra terminal."""
        from shared.settings import get_settings

        return {self.variables[0]: url, **airflow_settings(get_settings().labs_home.resolve() / self.name)}

    def probe(self, url: str) -> None:
        """El servidor contesta y dice que todo lo demás está vivo."""
        probe_http(f"{url.rstrip('/')}/api/v2/monitor/health")


SERVICE = Airflow()
running = partial(run_service, SERVICE)
