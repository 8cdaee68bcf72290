"""Ejecuta el laboratorio de la clase 4 y escribe su pieza del informe.

python clase4_airflow/lab.py
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import typer

from clase4_airflow.storage import Storage
from clase4_airflow.training_steps import QUALITY
from clase4_airflow.upload_data import make_storage
from shared.commands import run_script
from shared.errors import DataError
from shared.registry import CHAMPION, MODEL_NAME, all_versions, connect
from shared.report import Table
from shared.services import mlflow, s3, services_in_background
from shared.services.airflow import airflow_settings
from shared.settings import get_settings
from shared.stage import Stage

HERE = Path(__file__).resolve().parent
OUTPUTS = get_settings().outputs(HERE.name)
ETLS = ("etl_process_taskflow", "etl_process_tradicional")
TRAINING = "train_and_register"
AIRFLOW = (sys.executable, "-m", "airflow")
INTERFACE = "La interfaz de Airflow, con todo en marcha: `./labs services airflow`, y abra la dirección que muestra."


def airflow_environment(addresses: Mapping[str, str]) -> dict[str, str]:
    """Las variables con las que `airflow` trabaja aquí, y solo cuenta lo que va mal."""
    os.environ.update(addresses)
    home = get_settings().labs_home.resolve() / "airflow"
    home.mkdir(parents=True, exist_ok=True)
    return {**airflow_settings(home), "AIRFLOW__LOGGING__LOGGING_LEVEL": "WARNING", "PYTHONWARNINGS": "ignore"}


def latest_report(storage: Storage, dag: str) -> dict[str, Any]:
    """El informe de calidad de la última ejecución de un ETL.

    Raises:
        DataError: si no dejó ninguno.
    """
    found = [item for item in storage.list_objects(f"etl/{dag}/") if item["Key"].endswith(f"/{QUALITY}")]
    if not found:
        raise DataError(f"{dag} no dejó su informe de calidad.", next_step="Repita: `./labs run clase4`")
    return dict(storage.read_json(max(found, key=lambda item: item["LastModified"])["Key"]))


def etl_table(reports: Mapping[str, dict[str, Any]]) -> Table:
    """Las cuentas de cada ETL y la huella de lo que dejó."""
    names = ("read", "accepted", "quarantined", "train", "test")
    rows = [
        [dag, *(report["rows"][name] for name in names), report["sha256"]["train"][:12]]
        for dag, report in reports.items()
    ]
    columns = ["DAG", "Leídas", "Válidas", "Cuarentena", "Entrenamiento", "Prueba", "SHA-256"]
    return Table(title="El mismo ETL, escrito de dos formas", columns=columns, rows=rows)


def summary_lines(reports: Mapping[str, dict[str, Any]], url: str) -> list[str]:
    """Las frases del informe, con los números de esta ejecución."""
    first, second = (report["sha256"] for report in reports.values())
    same = "los mismos bytes" if first == second else "bytes distintos, y deberían ser los mismos"
    versions = all_versions(connect(url))
    [champion] = [version for version, aliases in versions if CHAMPION in aliases]
    return [
        f"Los dos ETL dejan {same} en las {len(first)} tablas finales.",
        f"{MODEL_NAME}@{CHAMPION} es la versión {champion.version}, con F1 {champion.tags['cv_f1']} en CV.",
        INTERFACE,
    ]


def main() -> None:
    """Ejecuta el laboratorio de la clase 4 y escribe su pieza del informe."""
    stage = Stage("Clase 4: Airflow", OUTPUTS)
    with services_in_background(["mlflow"]), s3.running() as store:
        stage.run(sys.executable, HERE / "upload_data.py")
        environment = airflow_environment(store.environment)
        stage.run(*AIRFLOW, "db", "migrate", env=environment)
        for dag in ETLS:
            stage.run(*AIRFLOW, "dags", "test", dag, env=environment)
        with mlflow.running() as tracking:
            environment |= tracking.environment
            stage.run(*AIRFLOW, "dags", "test", TRAINING, env=environment)
            reports = {dag: latest_report(make_storage(store), dag) for dag in ETLS}
            lines = summary_lines(reports, tracking.url)
    stage.finish(lines=lines, tables=[etl_table(reports)])
    typer.echo("\n".join(lines))


if __name__ == "__main__":
    run_script(main)
