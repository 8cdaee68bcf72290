"""Los pasos del ETL, sin Airflow: funciones normales, que reciben claves y devuelven claves.

Los que vigilan la calidad, validar e informar, están en `etl_quality.py`.

Los dos DAG las llaman igual. Cada ejecución escribe bajo su propio prefijo, y un paso repetido escribe lo mismo
en el mismo sitio: por eso se puede reintentar sin miedo.
"""

from __future__ import annotations

import pandas as pd
from sklearn.model_selection import train_test_split

from clase4_airflow.storage import Storage
from shared.datasets import HEART_FEATURES, HEART_SCHEMA, HEART_TARGET, encode_heart, read_csv
from shared.errors import DataError
from shared.models import MIN_PER_CLASS, heart_preprocessing
from shared.schema import check_columns

ROW = "row"
"""Posición en el archivo, desde 1: con ella se encuentra una fila mala en el original."""


def extract(storage: Storage, source: str, prefix: str) -> str:
    """Copia los datos tal como llegaron, con el número de cada fila.

    Args:
        storage: almacén de objetos.
        source: clave de un CSV con las columnas de `HEART_SCHEMA`.
        prefix: donde escribe esta ejecución.

    Returns:
        La clave de la tabla, (n, 15), sin tocar ningún valor.

    Raises:
        DataError: si no existe, no se puede leer o le faltan columnas.
    """
    with storage.local_copy(source) as path:
        frame = read_csv(path)
    check_columns(frame, HEART_SCHEMA, source=source)
    frame.insert(0, ROW, range(1, len(frame) + 1))
    return storage.write_table(f"{prefix}/extracted.parquet", frame)


def clean(storage: Storage, valid: str, prefix: str) -> str:
    """Da a cada columna el tipo de su esquema; los valores que faltan y pueden faltar siguen faltando.

    Returns:
        La clave de la tabla, (n, 14).
    """
    frame = storage.read_table(valid)[list(HEART_SCHEMA)]
    numbers = [name for name, column in HEART_SCHEMA.items() if column.kind != "category"]
    frame[numbers] = frame[numbers].apply(pd.to_numeric)
    typed = frame.astype({name: column.dtype for name, column in HEART_SCHEMA.items()})
    return storage.write_table(f"{prefix}/clean.parquet", typed)


def encode(storage: Storage, cleaned: str, prefix: str) -> str:
    """Convierte las categorías en números: la entrada del modelo.

    Returns:
        La clave de la tabla, (n, 14): 13 predictores float32 y el objetivo int8.
    """
    frame = storage.read_table(cleaned)
    encoded = encode_heart(frame).assign(**{HEART_TARGET: frame[HEART_TARGET].astype("int8")})
    return storage.write_table(f"{prefix}/encoded.parquet", encoded)


def split(storage: Storage, encoded: str, prefix: str, *, test_size: float, seed: int) -> dict[str, str]:
    """Separa entrenamiento y prueba con la misma proporción de enfermos.

    Returns:
        Las claves `train` y `test`, con las columnas de `encode`.

    Raises:
        DataError: si en la prueba quedarían menos de `MIN_PER_CLASS` pacientes de alguna clase.
    """
    frame = storage.read_table(encoded)
    fewest = int(frame[HEART_TARGET].value_counts().reindex([0, 1], fill_value=0).min() * test_size)
    if fewest < MIN_PER_CLASS:
        raise DataError(
            f"En la prueba quedarían {fewest} pacientes de una clase, y hacen falta {MIN_PER_CLASS}.",
            next_step="Use más datos, o una parte mayor para la prueba (variable `test_size`).",
        )
    parts = train_test_split(frame, test_size=test_size, random_state=seed, stratify=frame[HEART_TARGET])
    return {
        name: storage.write_table(f"{prefix}/{name}.parquet", part)
        for name, part in zip(("train", "test"), parts, strict=True)
    }


def scale(storage: Storage, parts: dict[str, str], prefix: str) -> dict[str, str]:
    """Completa, separa las categorías y escala, con lo que se aprende solo del entrenamiento.

    Es para quien mire los datos o entrene algo sin preproceso propio; `heart-svm` lleva el suyo dentro y usa las
    particiones sin escalar.

    Returns:
        Las claves `train_scaled` y `test_scaled`: predictores float32, y el objetivo.
    """
    tables = {name: storage.read_table(key) for name, key in parts.items()}
    preprocessing = heart_preprocessing().fit(tables["train"][list(HEART_FEATURES)])
    keys = {}
    for name, table in tables.items():
        values = preprocessing.transform(table[list(HEART_FEATURES)]).astype("float32")
        scaled = pd.DataFrame(values, columns=preprocessing.get_feature_names_out())
        scaled[HEART_TARGET] = table[HEART_TARGET].to_numpy()
        keys[f"{name}_scaled"] = storage.write_table(f"{prefix}/{name}_scaled.parquet", scaled)
    return keys
