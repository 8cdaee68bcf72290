"""Los pasos del mantenimiento, sin Airflow: el inventario de un intervalo y la limpieza."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from clase4_airflow.storage import Storage

RUNS = "etl/"


def take_inventory(storage: Storage, start: datetime, end: datetime) -> dict[str, Any]:
    """Apunta lo que el ETL escribió en [start, end), bajo la clave de ese día.

    Depende solo del intervalo, no de cuándo se ejecute: repetirlo, o pedirlo meses después, da lo mismo mientras
    los objetos sigan ahí.

    Returns:
        El día, cuántos objetos y cuántos bytes.
    """
    written = [item for item in storage.list_objects(RUNS) if start <= item["LastModified"] < end]
    day = {
        "day": f"{start:%Y-%m-%d}",
        "objects": len(written),
        "bytes": sum(item["Size"] for item in written),
    }
    storage.write_json(f"mantenimiento/{day['day']}.json", day)
    return day


def delete_expired(storage: Storage, limit: datetime) -> int:
    """Borra lo que el ETL escribió antes de `limit`, y dice cuántos objetos eran."""
    expired = [item["Key"] for item in storage.list_objects(RUNS) if item["LastModified"] < limit]
    for key in expired:
        storage.delete(key)
    return len(expired)
