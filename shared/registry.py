"""El registro de modelos de MLflow: cómo entra una versión de `heart-svm`, y quién es el campeón."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path

import mlflow
import pandas as pd
from filelock import FileLock
from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.models import infer_signature
from sklearn.base import clone
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.pipeline import Pipeline

from shared.models import TRUSTED_TYPES, load_model
from shared.settings import get_settings

MODEL_NAME = "heart-svm"
CHAMPION, CHALLENGER = "champion", "challenger"
RETIRED_TAG = "rolled_back_to"
DESCRIPTION = (
    "SVM que estima la probabilidad de estrechamiento coronario mayor que 50 %; su entrada es la de encode_heart."
)
CLIENT_SETTINGS = {
    # Un servidor caído se dice en segundos; con los valores de MLflow (120 s y 7 reintentos) tarda minutos.
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "8",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    # Los archivos se piden al servidor. Sin esto, se descargan de MinIO, que fuera de la pila no tiene dirección.
    "MLFLOW_ENABLE_PROXY_MULTIPART_DOWNLOAD": "false",
    # Dos líneas por cada ejecución anidada taparían lo demás.
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}


def connect(url: str) -> MlflowClient:
    """Da un cliente de un servidor, y lo fija como el de este proceso."""
    for name, value in CLIENT_SETTINGS.items():
        os.environ.setdefault(name, value)
    mlflow.set_tracking_uri(url)
    return MlflowClient()


@dataclass(frozen=True)
class Cases:
    """Pacientes con los que se comparan dos modelos.

    Attributes:
        X: (n, 13) float32, la salida de `encode_heart`.
        y: (n,) el objetivo.
        folds: particiones de la validación cruzada.
        seed: de qué dependen esas particiones; con la misma, son las mismas.
    """

    X: pd.DataFrame
    y: pd.Series
    folds: int
    seed: int

    def mean_f1(self, model: Pipeline) -> float:
        """F1 medio de una receta, entrenada de nuevo en cada partición."""
        splitter = StratifiedKFold(self.folds, shuffle=True, random_state=self.seed)
        return float(cross_val_score(clone(model), self.X, self.y, scoring="f1", cv=splitter).mean())


@dataclass(frozen=True)
class Decision:
    """Lo que se decidió sobre un aspirante, y con qué números.

    Attributes:
        promoted: si debe ser el campeón.
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


def load_version(version: ModelVersion) -> Pipeline:
    """Descarga y abre una versión, con la lista de tipos revisados de este repositorio.

    `mlflow.sklearn.load_model` usaría la que trae el propio modelo, que en uno ajeno puede decir cualquier cosa.

    Raises:
        ModelError: si contiene otros tipos.
    """
    with tempfile.TemporaryDirectory() as folder:
        uri = f"models:/{MODEL_NAME}/{version.version}"
        path = mlflow.artifacts.download_artifacts(artifact_uri=f"{uri}/model.skops", dst_path=folder)
        return load_model(Path(path), next_step="Registre otro modelo: este no es de los programas del curso.")


def log_classifier(
    model: Pipeline,
    features: pd.DataFrame,
    *,
    versions: Mapping[str, str],
    trusted: Sequence[str] = TRUSTED_TYPES,
) -> str:
    """Registra un clasificador en la ejecución abierta, con su firma y un ejemplo de entrada.

    Args:
        model: entrenado con `features`.
        features: (n, 13), la salida de `encode_heart`.
        versions: paquete → versión con que se entrenó.
        trusted: tipos revisados que skops puede abrir.

    Returns:
        El identificador del modelo.
    """
    # Sin pip_requirements, MLflow las averigua en otro proceso, que tarda medio minuto.
    packages = [f"{name}=={version}" for name, version in versions.items() if name != "python"]
    logged = mlflow.sklearn.log_model(
        model,
        name="model",
        signature=infer_signature(features, model.predict_proba(features)),
        input_example=features.head(3),
        pyfunc_predict_fn="predict_proba",
        pip_requirements=packages,
        skops_trusted_types=list(trusted),
    )
    return str(logged.model_id)


def register_version(client: MlflowClient, run: Run) -> ModelVersion:
    """Registra el modelo de una ejecución; si ya tiene versión, devuelve esa."""
    found = client.search_model_versions(f"name = '{MODEL_NAME}' and run_id = '{run.info.run_id}'")
    if found:
        return found[0]
    [output] = run.outputs.model_outputs if run.outputs else []
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
        description=f"El mejor SVM de la ejecución {run.info.run_id[:8]}: {params}.",
    )


def compare(challenger_f1: float, champion: ModelVersion | None, cases: Cases, *, margin: float) -> Decision:
    """Compara un F1 con el del campeón en los mismos pacientes y las mismas particiones.

    Nunca con los de prueba: elegir con ellos los gastaría, y ya no dirían cómo será el modelo con pacientes nuevos.
    """
    if champion is None:
        return Decision(True, "no había campeón", challenger_f1)
    champion_f1 = cases.mean_f1(load_version(champion))
    difference = f"F1 {challenger_f1:.4f} contra {champion_f1:.4f} de la versión {champion.version}"
    if challenger_f1 >= champion_f1 + margin:
        return Decision(True, f"{difference}: lo supera en el margen pedido, {margin}", challenger_f1, champion_f1)
    return Decision(False, f"{difference}: no lo supera en el margen pedido, {margin}", challenger_f1, champion_f1)


@contextmanager
def one_promotion_at_a_time() -> Iterator[None]:
    """Impide que dos promociones de este clon se crucen; la segunda espera y compara con lo que dejó la primera."""
    folder = get_settings().labs_home
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / f"{MODEL_NAME}.lock"):
        yield


def promote(client: MlflowClient, challenger: ModelVersion, cases: Cases, *, margin: float) -> Decision:
    """Decide si el aspirante pasa a campeón, lo anota en su versión y, si procede, mueve el alias.

    Si otra máquina cambió el campeón mientras se comparaba, compara de nuevo con el que dejó.
    """
    challenger_f1 = cases.mean_f1(load_version(challenger))
    while True:
        champion = version_with_alias(client, CHAMPION)
        decision = compare(challenger_f1, champion, cases, margin=margin)
        current = version_with_alias(client, CHAMPION)
        if (current and current.version) == (champion and champion.version):
            break
    if RETIRED_TAG in challenger.tags:
        decision = Decision(False, "se retiró con --rollback, y no vuelve sola", challenger_f1, decision.champion_f1)
    _record_decision(client, challenger, decision)
    if decision.promoted:
        if champion:
            client.set_model_version_tag(MODEL_NAME, challenger.version, "previous_champion", champion.version)
        client.set_registered_model_alias(MODEL_NAME, CHAMPION, challenger.version)
        client.delete_registered_model_alias(MODEL_NAME, CHALLENGER)
    return decision


def _record_decision(client: MlflowClient, version: ModelVersion, decision: Decision) -> None:
    """Anota la decisión en las etiquetas de la versión."""
    tags = {name: str(value) for name, value in asdict(decision).items() if value is not None}
    for name, value in {**tags, "decided_at": f"{datetime.now(timezone.utc):%Y-%m-%dT%H:%M:%SZ}"}.items():
        client.set_model_version_tag(MODEL_NAME, version.version, name, value)
