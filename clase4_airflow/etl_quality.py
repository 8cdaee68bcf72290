"""Los pasos del ETL que vigilan la calidad, sin Airflow: qué filas no valen y por qué, y las cuentas al final."""

from __future__ import annotations

import hashlib
from typing import Any

import pandas as pd

from clase4_airflow.etl_steps import ROW
from clase4_airflow.storage import Storage
from shared.datasets import HEART_SCHEMA, HEART_TARGET
from shared.errors import DataError
from shared.schema import find_problems

REASONS = "reasons"


def validate(storage: Storage, extracted: str, prefix: str, *, max_bad_share: float) -> dict[str, Any]:
    """Separa las filas que cumplen el esquema de las que no, que quedan en cuarentena con sus motivos.

    Args:
        storage: almacén de objetos.
        extracted: clave que devolvió `extract`.
        prefix: donde escribe esta ejecución.
        max_bad_share: proporción de filas malas que se tolera, en [0, 1].

    Returns:
        Las claves `valid` y `quarantine`, y cuántas filas se leyeron, valen y se apartaron.

    Raises:
        DataError: si no hay filas, o son malas más de las que se toleran; la cuarentena queda escrita.
    """
    frame = storage.read_table(extracted)
    if frame.empty:
        raise DataError("El archivo solo tiene el encabezado.", next_step="Use un archivo con filas de datos.")
    reasons = find_reasons(frame)
    bad = frame[ROW].isin(reasons.index)
    rejected = frame[bad].astype("string").assign(**{REASONS: reasons.to_numpy()})
    keys = {
        "quarantine": storage.write_table(f"{prefix}/quarantine.parquet", rejected),
        "valid": storage.write_table(f"{prefix}/valid.parquet", frame[~bad]),
    }
    if bad.mean() > max_bad_share:
        raise DataError(
            f"{bad.sum()} de {len(frame)} filas no valen: el {bad.mean():.0%}, y se tolera el {max_bad_share:.0%}.",
            why=f"Por ejemplo, fila {reasons.index[0]}: {reasons.iloc[0]}.",
            next_step=f"Mire `{storage.address(keys['quarantine'])}` y corrija el origen.",
        )
    return {**keys, "read": len(frame), "accepted": int((~bad).sum()), "quarantined": int(bad.sum())}


def find_reasons(frame: pd.DataFrame) -> pd.Series:
    """Por qué no vale cada fila mala: lo que incumple del esquema, o que repite otra.

    Args:
        frame: (n, 15), con `row`.

    Returns:
        (m,) los motivos de cada fila mala, separados por punto y coma; el índice es su `row`.
    """
    problems = find_problems(frame, HEART_SCHEMA)
    text = problems["column"] + ": " + problems["reason"]
    broken = text.groupby(frame[ROW].to_numpy()[problems["row"] - 1]).agg("; ".join)
    repeated = frame.loc[frame.duplicated(list(HEART_SCHEMA)) & ~frame[ROW].isin(broken.index), ROW]
    copies = pd.Series("repite una fila anterior", index=repeated, dtype="object")
    return pd.concat([broken.astype("object"), copies]).sort_index()


def report_quality(storage: Storage, prefix: str, *, validation: dict[str, Any], outputs: dict[str, str]) -> str:
    """Escribe el informe de calidad, después de comprobar que no se perdió ni se inventó ninguna fila.

    Args:
        storage: almacén de objetos.
        prefix: donde escribe esta ejecución.
        validation: lo que devolvió `validate`.
        outputs: nombre y clave de cada tabla final.

    Returns:
        La clave del informe.

    Raises:
        DataError: si las cuentas no cuadran.
    """
    tables = {name: storage.read_table(key) for name, key in outputs.items()}
    rows = {
        **{name: validation[name] for name in ("read", "accepted", "quarantined")},
        **{name: len(table) for name, table in tables.items()},
    }
    written = rows["train"] + rows["test"] + len(storage.read_table(validation["quarantine"]))
    if rows["read"] != written:
        raise DataError(
            f"Entraron {rows['read']} filas y salieron {written}.",
            next_step="Es un error del ETL: no use estos datos, y avise a quien lo mantiene.",
        )
    quarantined = storage.read_table(validation["quarantine"])
    content = {
        "rows": rows,
        "bad_share": round(rows["quarantined"] / rows["read"], 4),
        "reasons": quarantined[REASONS].str.split("; ").explode().value_counts().to_dict(),
        "missing": {name: int(count) for name, count in tables["train"].isna().sum().items() if count},
        "positive_share": {name: round(float(tables[name][HEART_TARGET].mean()), 4) for name in ("train", "test")},
        "sha256": {name: hashlib.sha256(storage.read(key)).hexdigest() for name, key in outputs.items()},
        "outputs": outputs,
    }
    return storage.write_json(f"{prefix}/quality.json", content)
