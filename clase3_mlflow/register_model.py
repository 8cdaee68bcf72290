"""Registra el mejor SVM como versión nueva, y lo promueve si supera al campeón.

python clase3_mlflow/register_model.py
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer
from filelock import FileLock
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion

from clase3_mlflow.experiment import MODEL_NAME, finished_searches, tracking
from clase3_mlflow.registry import (
    CHALLENGER,
    CHAMPION,
    RETIRED_TAG,
    Decision,
    decide,
    record_decision,
    register_version,
    version_with_alias,
)
from shared.commands import run_script
from shared.errors import ServiceError
from shared.settings import get_settings

FAMILY = "svm"
"""La familia que se registra; las demás solo se comparan."""


@contextmanager
def one_promotion_at_a_time() -> Iterator[None]:
    """Impide que dos promociones de esta máquina se crucen; la segunda espera y compara con lo que dejó la primera."""
    folder = get_settings().labs_home
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / f"{MODEL_NAME}.lock"):
        yield


def promote(client: MlflowClient, challenger: ModelVersion, *, margin: float, folds: int, seed: int) -> Decision:
    """Decide si el aspirante pasa a campeón, lo anota y, si procede, mueve el alias.

    Si otra máquina cambió el campeón mientras se comparaba, compara de nuevo con el que dejó.
    """
    while True:
        champion = version_with_alias(client, CHAMPION)
        decision = decide(challenger, champion, margin=margin, folds=folds, seed=seed)
        current = version_with_alias(client, CHAMPION)
        if (current and current.version) == (champion and champion.version):
            break
    record_decision(client, challenger, decision)
    if decision.promoted:
        if champion:
            client.set_model_version_tag(MODEL_NAME, challenger.version, "previous_champion", champion.version)
        client.set_registered_model_alias(MODEL_NAME, CHAMPION, challenger.version)
        client.delete_registered_model_alias(MODEL_NAME, CHALLENGER)
    return decision


def roll_back(client: MlflowClient) -> str:
    """Devuelve el alias de campeón a la versión que lo tenía antes, y dice cuál es.

    Raises:
        ServiceError: si no hay campeón, o no se sabe quién lo fue antes.
    """
    champion = version_with_alias(client, CHAMPION)
    previous = champion.tags.get("previous_champion") if champion else None
    if champion is None or previous is None:
        raise ServiceError(
            f"No hay una versión anterior de «{MODEL_NAME}» a la que volver.",
            why="Nadie fue campeón antes." if champion else "No hay campeón.",
            next_step="Vea las versiones: `python clase3_mlflow/manage_artifacts.py versions`",
        )
    client.set_registered_model_alias(MODEL_NAME, CHAMPION, previous)
    client.set_model_version_tag(MODEL_NAME, champion.version, RETIRED_TAG, previous)
    return f"El campeón vuelve a ser la versión {previous}; lo era la {champion.version}."


def main(
    margin: Annotated[float, typer.Option(min=0, max=1, help="F1 que debe ganar al campeón.")] = 0.005,
    folds: Annotated[int, typer.Option(min=2, max=10, help="Particiones con las que se comparan.")] = 5,
    seed: Annotated[int, typer.Option(min=0, help="Semilla de esas particiones.")] = 42,
    rollback: Annotated[bool, typer.Option("--rollback", help="Volver al campeón anterior.")] = False,
) -> None:
    """Registra el mejor SVM como versión nueva, y lo promueve si supera al campeón."""
    with tracking() as client, one_promotion_at_a_time():
        if rollback:
            typer.echo(roll_back(client))
            return
        run = finished_searches(client, family=FAMILY)[0]
        challenger = register_version(client, run)
        champion = version_with_alias(client, CHAMPION)
        if champion and champion.version == challenger.version:
            typer.echo(f"El mejor SVM ya es el campeón: versión {champion.version}.")
            return
        client.set_registered_model_alias(MODEL_NAME, CHALLENGER, challenger.version)
        decision = promote(client, challenger, margin=margin, folds=folds, seed=seed)
        outcome = "promovida a champion" if decision.promoted else "queda como challenger"
        typer.echo(f"{MODEL_NAME}, versión {challenger.version}: {outcome}; {decision.reason}.")


if __name__ == "__main__":
    run_script(main)
