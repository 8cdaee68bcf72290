"""El registro de modelos: versiones, alias y la comparación que decide quién es el campeón."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime, timezone

import mlflow
import numpy as np
from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from sklearn.base import clone
from sklearn.model_selection import StratifiedKFold, cross_val_score

from clase3_mlflow.experiment import MODEL_NAME, split_heart

CHAMPION, CHALLENGER = "champion", "challenger"
RETIRED_TAG = "rolled_back_to"
DESCRIPTION = (
    "SVM que estima la probabilidad de estrechamiento coronario mayor que 50 %; su entrada es la de encode_heart."
)


@dataclass(frozen=True)
class Decision:
    """Lo que se decidió sobre un aspirante, y con qué números.

    Attributes:
        promoted: si pasa a ser el campeón.
        reason: por qué, en una frase.
        challenger_f1: su F1 medio en validación cruzada.
        champion_f1: el del campeón en las mismas particiones; None si no había.
    """

    promoted: bool
    reason: str
    challenger_f1: float
    champion_f1: float | None = None


def version_with_alias(client: MlflowClient, alias: str) -> ModelVersion | None:
    """La versión que lleva un alias, o None."""
    try:
        return client.get_model_version_by_alias(MODEL_NAME, alias)
    except MlflowException as error:
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            return None
        raise


def all_versions(client: MlflowClient) -> list[tuple[ModelVersion, str]]:
    """Las versiones registradas, de la más nueva a la más antigua, cada una con sus alias separados por comas."""
    models = client.search_registered_models(f"name = '{MODEL_NAME}'")
    aliases = models[0].aliases if models else {}
    return [
        (version, ", ".join(sorted(alias for alias, number in aliases.items() if number == version.version)))
        for version in client.search_model_versions(f"name = '{MODEL_NAME}'", order_by=["version_number DESC"])
    ]


def register_version(client: MlflowClient, run: Run) -> ModelVersion:
    """Registra el modelo de una búsqueda; si ya tiene versión, devuelve esa."""
    found = client.search_model_versions(f"name = '{MODEL_NAME}' and run_id = '{run.info.run_id}'")
    if found:
        return found[0]
    [output] = run.outputs.model_outputs
    tags = {name: run.data.tags[name] for name in ("family", "git_commit", "data_sha256")}
    tags["cv_f1"] = f"{run.data.metrics['cv_f1']:.4f}"
    if not client.search_registered_models(f"name = '{MODEL_NAME}'"):
        client.create_registered_model(MODEL_NAME, description=DESCRIPTION)
    params = ", ".join(f"{name}={value}" for name, value in sorted(run.data.params.items()))
    return client.create_model_version(
        MODEL_NAME,
        source=f"models:/{output.model_id}",
        run_id=run.info.run_id,
        model_id=output.model_id,
        tags=tags,
        description=f"El mejor SVM de la búsqueda {run.info.run_id[:8]}: {params}.",
    )


def cross_validated_f1(version: ModelVersion, *, folds: int, seed: int) -> np.ndarray:
    """F1 de una receta, entrenada de nuevo en cada partición: (folds,); las particiones dependen solo de la semilla."""
    model = mlflow.sklearn.load_model(f"models:/{MODEL_NAME}/{version.version}")
    split = split_heart(seed=seed)
    splitter = StratifiedKFold(folds, shuffle=True, random_state=seed)
    return cross_val_score(clone(model), split.X_train, split.y_train, scoring="f1", cv=splitter)


def decide(
    challenger: ModelVersion, champion: ModelVersion | None, *, margin: float, folds: int, seed: int
) -> Decision:
    """Compara al aspirante con el campeón en los mismos pacientes y las mismas particiones.

    Nunca con los de prueba: elegir con ellos los gastaría, y ya no dirían cómo será el modelo con pacientes nuevos.
    """
    new = float(cross_validated_f1(challenger, folds=folds, seed=seed).mean())
    if RETIRED_TAG in challenger.tags:
        return Decision(False, "se retiró con --rollback, y no vuelve sola", new)
    if champion is None:
        return Decision(True, "no había campeón", new)
    old = float(cross_validated_f1(champion, folds=folds, seed=seed).mean())
    difference = f"F1 {new:.4f} contra {old:.4f} de la versión {champion.version}"
    if new >= old + margin:
        return Decision(True, f"{difference}: lo supera en el margen pedido, {margin}", new, old)
    return Decision(False, f"{difference}: no lo supera en el margen pedido, {margin}", new, old)


def record_decision(client: MlflowClient, version: ModelVersion, decision: Decision) -> None:
    """Anota la decisión en las etiquetas de la versión."""
    tags = {name: str(value) for name, value in asdict(decision).items() if value is not None}
    for name, value in {**tags, "decided_at": f"{datetime.now(timezone.utc):%Y-%m-%dT%H:%M:%SZ}"}.items():
        client.set_model_version_tag(MODEL_NAME, version.version, name, value)
