"""El almacén de objetos, visto por los pasos del ETL: leer y escribir por clave, con errores que se entienden."""

from __future__ import annotations

import io
import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import pandas as pd
from botocore.client import BaseClient
from botocore.exceptions import BotoCoreError, ClientError

from shared.errors import DataError, ServiceError

MISSING = {"NoSuchKey", "NoSuchBucket", "404"}


@dataclass(frozen=True)
class Storage:
    """Una cubeta de un almacén compatible con S3.

    Cada objeto se escribe entero o no se escribe: nadie lee nunca uno a medias.

    Attributes:
        client: cliente de boto3.
        bucket: nombre de la cubeta.
    """

    client: BaseClient
    bucket: str

    def address(self, key: str) -> str:
        """Dirección de un objeto, para los mensajes."""
        return f"s3://{self.bucket}/{key}"

    def read(self, key: str) -> bytes:
        """Los bytes de un objeto.

        Raises:
            DataError: si no existe.
            ServiceError: si el almacén no responde.
        """
        with self._explained(key):
            return bytes(self.client.get_object(Bucket=self.bucket, Key=key)["Body"].read())

    def write(self, key: str, content: bytes) -> str:
        """Escribe un objeto y devuelve su clave.

        Raises:
            ServiceError: si el almacén no responde.
        """
        with self._explained(key):
            self.client.put_object(Bucket=self.bucket, Key=key, Body=content)
        return key

    def read_table(self, key: str) -> pd.DataFrame:
        """Lee un Parquet."""
        return pd.read_parquet(io.BytesIO(self.read(key)))

    def write_table(self, key: str, frame: pd.DataFrame) -> str:
        """Escribe una tabla en Parquet; la misma tabla da siempre los mismos bytes."""
        return self.write(key, frame.to_parquet(index=False))

    def read_json(self, key: str) -> Any:
        """Lee un JSON."""
        return json.loads(self.read(key))

    def write_json(self, key: str, content: Any) -> str:
        """Escribe un JSON que también se lee a simple vista."""
        return self.write(key, json.dumps(content, ensure_ascii=False, indent=2).encode())

    def list_objects(self, prefix: str) -> list[dict[str, Any]]:
        """Los objetos cuya clave empieza así, como los describe S3 (`Key`, `Size`, `LastModified`)."""
        with self._explained(prefix):
            pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix)
            return [item for page in pages for item in page.get("Contents", [])]

    def delete(self, key: str) -> None:
        """Borra un objeto; si no existe, no pasa nada."""
        with self._explained(key):
            self.client.delete_object(Bucket=self.bucket, Key=key)

    @contextmanager
    def local_copy(self, key: str) -> Iterator[Path]:
        """Da un archivo temporal con los bytes de un objeto, y con su nombre."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / PurePosixPath(key).name
            path.write_bytes(self.read(key))
            yield path

    @contextmanager
    def _explained(self, key: str) -> Iterator[None]:
        try:
            yield
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") in MISSING:
                raise DataError(
                    f"No encuentro `{self.address(key)}`.",
                    next_step="Suba los datos: `python clase4_airflow/upload_data.py`",
                ) from error
            raise ServiceError(
                f"El almacén de objetos no pudo atender `{self.address(key)}`.", why=f"{error}."
            ) from error
        except BotoCoreError as error:
            raise ServiceError(
                f"El almacén de objetos no responde al pedirle `{self.address(key)}`.",
                why=f"{error}",
                next_step="Compruebe que está en marcha y que su dirección es la de la conexión «s3_labs».",
            ) from error
