"""Las predicciones guardadas en PostgreSQL.

Cada operación abre su conexión y la cierra: cuesta unos milisegundos, y por eso basta con que la base de datos vuelva
para que la página funcione de nuevo. Con mucho tráfico se pondría delante un agrupador, como PgBouncer.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg2
from psycopg2.extensions import connection as Connection  # noqa: N812
from psycopg2.extras import RealDictCursor
from psycopg2.sql import SQL, Identifier, Placeholder

from forms import COLUMNS
from migrations import MIGRATIONS, migrate
from predictor import CLASSES, Prediction
from shared.errors import ServiceError

CONNECT_SECONDS = 3
STATEMENT_SECONDS = 5


@dataclass(frozen=True)
class StoredPrediction(Prediction):
    """Una predicción guardada: además, su número y cuándo se hizo, en UTC."""

    id: int
    created_at: datetime


class Database:
    """Las predicciones en PostgreSQL, en un esquema propio.

    Args:
        url: dirección de PostgreSQL.
        schema: esquema de las tablas; se crea si no existe.
        migrations: carpeta con los archivos SQL, que se aplican por orden de nombre.
    """

    def __init__(self, url: str, *, schema: str = "mini_model", migrations: Path = MIGRATIONS) -> None:
        self.url = url.replace("+psycopg2", "", 1)
        self.schema = schema
        self.migrations = migrations
        self._migrated = threading.Event()

    @contextmanager
    def transaction(self) -> Iterator[RealDictCursor]:
        """Da un cursor cuyos cambios se guardan todos al salir del bloque o, si falla, ninguno.

        La primera vez aplica las migraciones: así el servicio puede arrancar antes que su base de datos.

        Raises:
            ServiceError: si PostgreSQL no responde.
        """
        try:
            with closing(self._connect()) as connection:
                if not self._migrated.is_set():
                    migrate(connection, self.schema, self.migrations)
                    self._migrated.set()
                with connection, connection.cursor(cursor_factory=RealDictCursor) as cursor:
                    yield cursor
        except psycopg2.errors.UndefinedTable as error:
            self._migrated.clear()  # La base de datos es otra, nueva: la próxima vez se crea todo.
            raise ServiceError("La base de datos está vacía.", why=str(error).strip()) from error
        except (psycopg2.OperationalError, psycopg2.InterfaceError) as error:
            raise ServiceError("La base de datos no responde.", why=str(error).strip()) from error

    def _connect(self) -> Connection:
        settings = {"search_path": self.schema, "timezone": "UTC", "statement_timeout": f"{STATEMENT_SECONDS}s"}
        return psycopg2.connect(
            self.url,
            connect_timeout=CONNECT_SECONDS,
            options=" ".join(f"-c {name}={value}" for name, value in settings.items()),
        )

    def check(self) -> None:
        """Comprueba que responde y que tiene sus tablas.

        Raises:
            ServiceError: si no es así.
        """
        with self.transaction() as cursor:
            cursor.execute("SELECT 1 FROM predictions LIMIT 1")

    def add(self, prediction: Prediction) -> int:
        """Guarda una predicción y devuelve su número."""
        row: dict[str, Any] = {COLUMNS[name]: value for name, value in prediction.measures.items()}
        row |= {f"probability_{name}": value for name, value in prediction.probabilities.items()}
        row |= {"quality": prediction.quality, "model_sha256": prediction.model_sha256}
        # Los nombres de columna se citan como identificadores; los valores viajan aparte, nunca dentro del texto.
        query = SQL("INSERT INTO predictions ({}) VALUES ({}) RETURNING id").format(
            SQL(", ").join(map(Identifier, row)), SQL(", ").join(map(Placeholder, row))
        )
        with self.transaction() as cursor:
            cursor.execute(query, row)
            [inserted] = cursor.fetchall()
        return int(inserted["id"])

    def get(self, number: int) -> StoredPrediction | None:
        """Devuelve una predicción por su número, o None si no existe."""
        with self.transaction() as cursor:
            cursor.execute("SELECT * FROM predictions WHERE id = %s", [number])
            row = cursor.fetchone()
        return _from_row(row) if row else None

    def latest(self, limit: int) -> tuple[list[StoredPrediction], int]:
        """Devuelve las últimas predicciones, la más nueva primero, y cuántas hay en total."""
        with self.transaction() as cursor:
            cursor.execute("SELECT * FROM predictions ORDER BY id DESC LIMIT %s", [limit])
            rows = cursor.fetchall()
            cursor.execute("SELECT count(*) AS total FROM predictions")
            [count] = cursor.fetchall()
        return [_from_row(row) for row in rows], int(count["total"])


def _from_row(row: dict[str, Any]) -> StoredPrediction:
    return StoredPrediction(
        measures={feature: row[column] for feature, column in COLUMNS.items()},
        quality=row["quality"],
        probabilities={name: row[f"probability_{name}"] for name in CLASSES},
        model_sha256=row["model_sha256"],
        id=row["id"],
        created_at=row["created_at"],
    )
