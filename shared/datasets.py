"""Los tres conjuntos de datos del curso, con su esquema comprobado al leerlos.

Origen, licencia y trampas conocidas de cada uno: `DATA.md`.
"""

from __future__ import annotations

import warnings
from pathlib import Path

import pandas as pd

from shared.errors import DataError
from shared.schema import Column, Schema, apply_schema

DATA_FOLDER = Path(__file__).parent / "data"
HEART_CSV = DATA_FOLDER / "heart.csv"
WINE_CSV = DATA_FOLDER / "winequality-red.csv"

HEART_TARGET = "target"
WINE_TARGET = "quality"
IRIS_TARGET = "species"

# Los límites son los de lo posible, no los de esta muestra: un valor fuera de ellos es un error de captura.
HEART_SCHEMA: Schema = {
    "age": Column("edad", "int", "años", 18, 110),
    "sex": Column("sexo", "category", categories=("female", "male")),
    "cp": Column(
        "tipo de dolor torácico",
        "category",
        categories=("typical ang", "atypical ang", "non-anginal", "asymptomatic"),
    ),
    "trestbps": Column("presión arterial en reposo", "int", "mmHg", 50, 260),
    "chol": Column("colesterol sérico", "int", "mg/dl", 80, 700),
    "fbs": Column("glucemia en ayunas mayor que 120 mg/dl", "int", "", 0, 1),
    "restecg": Column(
        "electrocardiograma en reposo",
        "category",
        categories=("normal", "ST-T abnormal", "left vent hypertrophy"),
    ),
    "thalach": Column("frecuencia cardíaca máxima", "int", "latidos/min", 40, 230),
    "exang": Column("angina con el ejercicio", "int", "", 0, 1),
    "oldpeak": Column("depresión del ST por el ejercicio", "float", "mm", 0, 10),
    "slope": Column("pendiente del ST", "category", categories=("upsloping", "flat", "downsloping")),
    "ca": Column("vasos mayores coloreados", "int", "vasos", 0, 3, nullable=True),
    "thal": Column(
        "gammagrafía con talio",
        "category",
        categories=("normal", "fixed defect", "reversable defect"),
        nullable=True,
    ),
    HEART_TARGET: Column("estrechamiento coronario mayor que 50 %", "int", "", 0, 1),
}
HEART_FEATURES = tuple(name for name in HEART_SCHEMA if name != HEART_TARGET)
HEART_CATEGORICAL = tuple(name for name in HEART_FEATURES if HEART_SCHEMA[name].kind == "category")

WINE_SCHEMA: Schema = {
    "fixed acidity": Column("acidez fija", "float", "g/dm³", 0, 30),
    "volatile acidity": Column("acidez volátil", "float", "g/dm³", 0, 5),
    "citric acid": Column("ácido cítrico", "float", "g/dm³", 0, 5),
    "residual sugar": Column("azúcar residual", "float", "g/dm³", 0, 100),
    "chlorides": Column("cloruros", "float", "g/dm³", 0, 2),
    "free sulfur dioxide": Column("dióxido de azufre libre", "float", "mg/dm³", 0, 300),
    "total sulfur dioxide": Column("dióxido de azufre total", "float", "mg/dm³", 0, 500),
    "density": Column("densidad", "float", "g/cm³", 0.9, 1.1),
    "pH": Column("pH", "float", "", 2, 5),
    "sulphates": Column("sulfatos", "float", "g/dm³", 0, 5),
    "alcohol": Column("alcohol", "float", "% vol", 0, 25),
    WINE_TARGET: Column("calidad según catadores", "int", "puntos", 0, 10),
}
WINE_FEATURES = tuple(name for name in WINE_SCHEMA if name != WINE_TARGET)

IRIS_FEATURES = ("sepal_length", "sepal_width", "petal_length", "petal_width")


def load_heart(path: Path = HEART_CSV) -> pd.DataFrame:
    """Lee pacientes con o sin enfermedad coronaria.

    Args:
        path: CSV con las columnas de `HEART_SCHEMA`.

    Returns:
        (n, 14), una fila por paciente; las categorías como `category`, con 6 valores faltantes en los 303
        pacientes de Cleveland (`ca`: 4, `thal`: 2). `target` vale 1 si hay estrechamiento mayor que 50 %.
        Unidades y límites: `HEART_SCHEMA`. Fuente: Janosi, Steinbrunn, Pfisterer y Detrano (1989), UCI n.º 45.

    Raises:
        DataError: si el archivo no se puede leer o no cumple el esquema.
    """
    return apply_schema(read_csv(path), HEART_SCHEMA, source=path.name)


def load_wine_quality(path: Path = WINE_CSV) -> pd.DataFrame:
    """Lee los vinos tintos portugueses con la nota de los catadores.

    Args:
        path: CSV con las columnas de `WINE_SCHEMA`.

    Returns:
        (n, 12), una fila por vino; 1599 en el archivo del curso, con 240 filas repetidas que se conservan.
        Unidades y límites: `WINE_SCHEMA`. Fuente: Cortez y otros (2009), UCI n.º 186.

    Raises:
        DataError: si el archivo no se puede leer o no cumple el esquema.
    """
    return apply_schema(read_csv(path), WINE_SCHEMA, source=path.name)


def load_iris() -> pd.DataFrame:
    """Devuelve las 150 flores de Iris.

    Returns:
        (150, 5): `sepal_length`, `sepal_width`, `petal_length` y `petal_width`, en cm, y `species`, categoría
        con 50 flores de cada especie. Fuente: Fisher (1936), en la copia de scikit-learn.
    """
    from sklearn.datasets import load_iris as load_bundled

    bundle = load_bundled()
    frame = pd.DataFrame(bundle.data, columns=list(IRIS_FEATURES))
    return frame.assign(
        **{IRIS_TARGET: pd.Categorical.from_codes(bundle.target, [str(n) for n in bundle.target_names])}
    )


def encode_heart(features: pd.DataFrame) -> pd.DataFrame:
    """Convierte los predictores en números: es la entrada de todos los modelos `heart-svm`.

    Cada categoría pasa a ser su posición en `HEART_SCHEMA`; los valores faltantes quedan como NaN, y los
    completa el modelo.

    Args:
        features: (n, 13) o más, con las columnas `HEART_FEATURES` y los tipos de `load_heart`.

    Returns:
        (n, 13) float32, en el orden de `HEART_FEATURES`.

    Raises:
        DataError: si falta una columna, o una categoría no está en el esquema.
    """
    missing = [name for name in HEART_FEATURES if name not in features.columns]
    if missing:
        raise DataError(f"Faltan predictores: {', '.join(missing)}.", next_step=f"Son: {', '.join(HEART_FEATURES)}.")
    encoded = features[list(HEART_FEATURES)].copy()
    for name in HEART_CATEGORICAL:
        codes = {category: float(code) for code, category in enumerate(HEART_SCHEMA[name].categories)}
        encoded[name] = features[name].astype(object).map(codes)
        if (encoded[name].isna() & features[name].notna()).any():
            raise DataError(
                f"`{name}` tiene una categoría desconocida.", next_step=f"Las conocidas son: {', '.join(codes)}."
            )
    return encoded.astype("float32")


def build_wine_parquet(target: Path, *, source: Path = WINE_CSV) -> Path:
    """Escribe los vinos como Parquet, con los tipos del esquema, y devuelve la ruta escrita.

    Raises:
        DataError: si el CSV no se puede leer o no cumple el esquema.
    """
    frame = load_wine_quality(source)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_suffix(".tmp")
    frame.to_parquet(temporary, index=False)
    return temporary.replace(target)


def read_csv(path: Path) -> pd.DataFrame:
    """Lee un CSV en UTF-8, separado por comas y con punto decimal.

    Raises:
        DataError: si no existe, está vacío, no es UTF-8, o alguna línea tiene columnas de más.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)
            return pd.read_csv(path, encoding="utf-8-sig", index_col=False, compression=None)
    except FileNotFoundError as error:
        raise DataError(f"No encuentro `{path}`.", next_step="Revise la ruta del archivo de entrada.") from error
    except pd.errors.EmptyDataError as error:
        raise DataError(f"`{path.name}` está vacío.", next_step="Use un archivo con encabezado y filas.") from error
    except UnicodeDecodeError as error:
        raise DataError(
            f"`{path.name}` no está en UTF-8.",
            why=f"El byte {error.start} no es válido.",
            next_step="Guárdelo de nuevo con codificación UTF-8.",
        ) from error
    except (pd.errors.ParserError, pd.errors.ParserWarning) as error:
        raise DataError(
            f"`{path.name}` tiene líneas con más columnas que el encabezado.",
            why=f"{str(error).strip().rstrip('.')}.",
            next_step="Corrija esas líneas.",
        ) from error
    except OSError as error:
        reason = error.strerror or error
        raise DataError(f"No puedo leer `{path}`.", why=f"{reason}.", next_step="Revise la ruta.") from error


def read_parquet(path: Path, schema: Schema, *, next_step: str) -> pd.DataFrame:
    """Lee un Parquet que dejó un paso anterior y comprueba su esquema.

    Args:
        path: archivo Parquet.
        schema: columnas que debe tener.
        next_step: qué hacer si falta o está dañado.

    Raises:
        DataError: si no existe, no es un Parquet entero o no cumple el esquema.
    """
    import pyarrow

    try:
        frame = pd.read_parquet(path)
    except FileNotFoundError as error:
        raise DataError(f"No encuentro `{path}`.", next_step=next_step) from error
    except (pyarrow.ArrowInvalid, OSError) as error:
        reason = str(error).splitlines()[0]
        raise DataError(f"`{path}` no es un Parquet entero.", why=f"{reason}.", next_step=next_step) from error
    return apply_schema(frame, schema, source=path.name)
