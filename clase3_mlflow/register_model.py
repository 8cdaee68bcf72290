"""Registra el mejor SVM como versión nueva, y lo promueve si supera al campeón.

python clase3_mlflow/register_model.py
"""

from __future__ import annotations

from typing import Annotated

import typer
from mlflow import MlflowClient
from mlflow.entities import Run

from clase3_mlflow.experiment import FINISHED, find_searches, split_heart, tracking
from shared.commands import run_script
from shared.errors import ServiceError
from shared.registry import (
    CHALLENGER,
    CHAMPION,
    MODEL_NAME,
    RETIRED_TAG,
    Cases,
    all_versions,
    one_promotion_at_a_time,
    promote,
    register_version,
    version_with_alias,
)

FAMILY = "svm"
"""La familia que se registra; las demás solo se comparan."""


def find_best(client: MlflowClient, *, folds: int, seed: int) -> Run:
    """La mejor búsqueda de SVM, entre las que se midieron con los mismos pacientes y las mismas particiones.

    Las recetas retiradas con `--rollback` no cuentan: si se retiraron, fue por algo que la validación no vio.

    Raises:
        ServiceError: si no hay ninguna.
    """
    same = f"params.folds = '{folds}' and params.seed = '{seed}'"
    runs = find_searches(client, f"tags.family = '{FAMILY}' and {FINISHED} and {same}")
    retired_runs = {version.run_id for version, _ in all_versions(client) if RETIRED_TAG in version.tags}
    retired = [run.data.params for run in runs if run.info.run_id in retired_runs]
    for run in runs:
        if run.data.params not in retired:
            return run
    raise ServiceError(
        "Todas las recetas de SVM registradas se retiraron con `--rollback`.",
        next_step="Cambie la rejilla en `shared/models.py` y repita: `python clase3_mlflow/track_experiments.py`",
    )


def promote_best(client: MlflowClient, *, margin: float, folds: int, seed: int) -> str:
    """Registra el mejor SVM, lo compara con el campeón y dice qué se decidió.

    Raises:
        ServiceError: si no hay ninguna búsqueda de SVM con esas particiones y esa semilla.
    """
    challenger = register_version(client, find_best(client, folds=folds, seed=seed))
    champion = version_with_alias(client, CHAMPION)
    if champion and champion.version == challenger.version:
        return f"El mejor SVM ya es el campeón: versión {champion.version}."
    client.set_registered_model_alias(MODEL_NAME, CHALLENGER, challenger.version)
    split = split_heart(seed=seed)
    cases = Cases(split.X_train, split.y_train, folds=folds, seed=seed)
    decision = promote(client, challenger, cases, margin=margin)
    outcome = "promovida a champion" if decision.promoted else "queda como challenger"
    return f"{MODEL_NAME}, versión {challenger.version}: {outcome}; {decision.reason}."


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
    # Primero la marca: si se corta entre las dos, la versión mala no vuelve sola.
    client.set_model_version_tag(MODEL_NAME, champion.version, RETIRED_TAG, previous)
    client.set_registered_model_alias(MODEL_NAME, CHAMPION, previous)
    return f"El campeón vuelve a ser la versión {previous}; lo era la {champion.version}."


def main(
    margin: Annotated[float, typer.Option(min=0, max=1, help="F1 que debe ganar al campeón.")] = 0.005,
    folds: Annotated[int, typer.Option(min=2, max=10, help="Particiones con las que se comparan.")] = 5,
    seed: Annotated[int, typer.Option(min=0, help="Semilla de esas particiones.")] = 42,
    rollback: Annotated[bool, typer.Option("--rollback", help="Volver al campeón anterior.")] = False,
) -> None:
    """Registra el mejor SVM como versión nueva, y lo promueve si supera al campeón."""
    with tracking() as client, one_promotion_at_a_time():
        typer.echo(roll_back(client) if rollback else promote_best(client, margin=margin, folds=folds, seed=seed))


if __name__ == "__main__":
    run_script(main)
