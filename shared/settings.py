"""Configuración: las variables de entorno que cada herramienta ya usa, leídas una sola vez.

Sin ninguna dirección definida, los laboratorios arrancan el servicio embebido; con ella, usan el que haya
ahí. Todo funciona sin `.env`; si existe en la raíz, se lee, y el entorno manda sobre él.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from pydantic import SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from shared import ROOT
from shared.errors import LabError


class Settings(BaseSettings):
    """Direcciones y carpetas; inmutable.

    Attributes:
        labs_home: estado de los servicios embebidos; se puede borrar en cualquier momento.
        labs_outputs: si se define, las salidas de cada clase van a `<labs_outputs>/<clase>`.
        mlflow_tracking_uri: servidor de MLflow.
        aws_endpoint_url_s3: almacén de objetos compatible con S3.
        aws_access_key_id: clave de acceso; la del laboratorio si el almacén es el embebido.
        aws_secret_access_key: clave secreta.
        redis_url: Redis o Valkey.
        database_url: PostgreSQL.
    """

    model_config = SettingsConfigDict(env_file=ROOT / ".env", env_ignore_empty=True, extra="ignore", frozen=True)

    labs_home: Path = ROOT / ".labs"
    labs_outputs: Path | None = None
    mlflow_tracking_uri: str | None = None
    aws_endpoint_url_s3: str | None = None
    aws_access_key_id: str | None = None
    aws_secret_access_key: SecretStr | None = None
    redis_url: SecretStr | None = None
    database_url: SecretStr | None = None

    def outputs(self, class_name: str) -> Path:
        """Carpeta de salidas de una clase: `<clase>/salidas`, o la que diga `LABS_OUTPUTS`."""
        if self.labs_outputs is not None:
            return self.labs_outputs.resolve() / class_name
        return ROOT / class_name / "salidas"


@lru_cache
def get_settings() -> Settings:
    """Devuelve la configuración del proceso, leída la primera vez que se pide.

    Raises:
        LabError: si `.env` no se puede leer.
    """
    try:
        return Settings()
    except UnicodeDecodeError as error:
        raise LabError(
            "El archivo `.env` no está en UTF-8.",
            why=f"El byte {error.start} no es válido.",
            next_step="Guárdelo de nuevo con codificación UTF-8.",
        ) from error
