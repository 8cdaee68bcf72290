"""Carga el modelo por su alias y predice pacientes.

python clase3_mlflow/load_champion.py
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import pandas as pd
import typer
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from sklearn.pipeline import Pipeline

from clase3_mlflow.experiment import SERVER_ERRORS, tracking
from shared.commands import run_script
from shared.datasets import HEART_CSV, HEART_FEATURES, HEART_TARGET, encode_heart, load_heart
from shared.errors import ModelError
from shared.models import check_features
from shared.registry import CHAMPION, MODEL_NAME, load_version, version_with_alias

REGISTER = "Regístrelo: `python clase3_mlflow/register_model.py`"


def find_version(client: MlflowClient, alias: str) -> ModelVersion:
    """La versión que lleva el alias.

    Raises:
        ModelError: si no la hay; nombra los alias que existen.
    """
    if version := version_with_alias(client, alias):
        return version
    models = client.search_registered_models(f"name = '{MODEL_NAME}'")
    aliases = ", ".join(sorted(models[0].aliases)) if models else ""
    raise ModelError(
        f"Ninguna versión de «{MODEL_NAME}» lleva el alias «{alias}».",
        why=f"Los que hay: {aliases or 'ninguno'}.",
        next_step=REGISTER,
    )


def load_checked(version: ModelVersion) -> Pipeline:
    """Descarga y abre una versión, y comprueba que es de estos datos.

    Raises:
        ModelError: si sus archivos ya no están en el almacén, o espera otras columnas.
    """
    try:
        model = load_version(version)
    except (*SERVER_ERRORS, OSError) as error:
        raise ModelError(
            f"No se pudieron descargar los archivos de la versión {version.version} de «{MODEL_NAME}».",
            why=f"{str(error).splitlines()[0]}.",
            next_step="Compruebe qué falta: `python clase3_mlflow/manage_artifacts.py check`",
        ) from error
    check_features(model, HEART_FEATURES, next_step=REGISTER)
    return model


def predict_patients(model: Pipeline, patients: pd.DataFrame) -> pd.DataFrame:
    """Probabilidad de enfermedad de cada paciente, junto a su edad y lo que tenía de verdad."""
    probabilities = model.predict_proba(encode_heart(patients))[:, 1]
    return pd.DataFrame(
        {"edad": patients["age"], "probabilidad": probabilities.round(3), "real": patients[HEART_TARGET]}
    )


def main(
    alias: Annotated[str, typer.Option(help="Alias de la versión.")] = CHAMPION,
    input_csv: Annotated[Path, typer.Option("--input", help="CSV de pacientes.", show_default="heart.csv")] = HEART_CSV,
    rows: Annotated[int, typer.Option(min=1, help="Pacientes que se muestran.")] = 5,
) -> None:
    """Carga el modelo por su alias y predice pacientes."""
    patients = load_heart(input_csv)
    with tracking() as client:
        version = find_version(client, alias)
        model = load_checked(version)
    typer.echo(f"{MODEL_NAME}@{alias} es la versión {version.version}, con F1 {version.tags.get('cv_f1', '?')} en CV.")
    typer.echo(predict_patients(model, patients).head(rows).to_string(index=False))


if __name__ == "__main__":
    run_script(main)
