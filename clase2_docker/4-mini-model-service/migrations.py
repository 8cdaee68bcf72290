"""Las migraciones: archivos SQL numerados que llevan el esquema de la base de datos de una versión a la siguiente."""

from __future__ import annotations

from pathlib import Path

from psycopg2.extensions import connection as Connection  # noqa: N812
from psycopg2.sql import SQL, Identifier

MIGRATIONS = Path(__file__).with_name("migraciones")
LOCK = 20_260_801
"""Número del cerrojo: cualquiera, pero el mismo en todos los procesos."""


def migrate(connection: Connection, schema: str, folder: Path) -> list[str]:
    """Aplica las migraciones que falten, en una sola transacción, y devuelve sus nombres.

    El cerrojo hace esperar a otro proceso que arranque a la vez; al terminar la transacción se suelta solo.
    """
    with connection, connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])
        cursor.execute(SQL("CREATE SCHEMA IF NOT EXISTS {0}; SET LOCAL search_path TO {0}").format(Identifier(schema)))
        cursor.execute(
            "CREATE TABLE IF NOT EXISTS migraciones (name text PRIMARY KEY, applied_at timestamptz DEFAULT now())"
        )
        cursor.execute("SELECT name FROM migraciones")
        applied = {name for (name,) in cursor.fetchall()}
        pending = [path for path in sorted(folder.glob("*.sql")) if path.name not in applied]
        for path in pending:
            cursor.execute(path.read_text(encoding="utf-8"))
            cursor.execute("INSERT INTO migraciones (name) VALUES (%s)", [path.name])
    return [path.name for path in pending]
