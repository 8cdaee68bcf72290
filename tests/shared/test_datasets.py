"""Los datos del curso son los publicados, y los que no cumplen su esquema se rechazan con un mensaje útil."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from shared.datasets import (
    DATA_FOLDER,
    HEART_CSV,
    HEART_FEATURES,
    HEART_SCHEMA,
    WINE_CSV,
    WINE_SCHEMA,
    build_wine_parquet,
    encode_heart,
    load_heart,
    load_iris,
    load_wine_quality,
    read_parquet,
)
from shared.errors import DataError

HEADER = ",".join(HEART_SCHEMA)
PATIENT = "63,male,typical ang,145,233,1,left vent hypertrophy,150,0,2.3,downsloping,0.0,fixed defect,0"


def write_csv(folder: Path, *rows: str, header: str = HEADER) -> Path:
    path = folder / "pacientes.csv"
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


def test_packaged_files_match_their_published_checksums():
    for line in (DATA_FOLDER / "SHA256SUMS").read_text(encoding="utf-8").splitlines():
        expected, name = line.split()
        assert hashlib.sha256((DATA_FOLDER / name).read_bytes()).hexdigest() == expected


def test_heart_is_the_cleveland_sample_as_uci_describes_it():
    heart = load_heart()
    assert heart.shape == (303, 14)
    assert heart["target"].value_counts().to_dict() == {0: 164, 1: 139}
    assert heart.isna().sum().loc[lambda count: count > 0].to_dict() == {"ca": 4, "thal": 2}
    assert heart.duplicated().sum() == 0
    assert str(heart["age"].dtype) == "int64"
    assert isinstance(heart["thal"].dtype, pd.CategoricalDtype)


def test_wine_has_the_scores_of_the_original_paper():
    wine = load_wine_quality()
    assert wine.shape == (1599, 12)
    assert wine["quality"].value_counts().sort_index().to_dict() == {3: 10, 4: 53, 5: 681, 6: 638, 7: 199, 8: 18}
    assert wine.duplicated().sum() == 240


def test_iris_has_the_means_of_the_uci_summary():
    iris = load_iris()
    assert iris.shape == (150, 5)
    assert iris.drop(columns="species").mean().round(2).tolist() == [5.84, 3.06, 3.76, 1.2]
    assert iris["species"].value_counts().to_dict() == {"setosa": 50, "versicolor": 50, "virginica": 50}


def test_wine_parquet_keeps_every_row_and_type(tmp_path: Path):
    path = build_wine_parquet(tmp_path / "winequality-red.parquet")
    pd.testing.assert_frame_equal(pd.read_parquet(path), load_wine_quality())
    assert [file.name for file in tmp_path.iterdir()] == ["winequality-red.parquet"]


def test_columns_in_another_order_are_put_in_the_order_of_the_schema(tmp_path: Path):
    shuffled = pd.read_csv(HEART_CSV)[list(reversed(HEART_SCHEMA))]
    shuffled.to_csv(tmp_path / "heart.csv", index=False)
    pd.testing.assert_frame_equal(load_heart(tmp_path / "heart.csv"), load_heart())


def test_a_byte_order_mark_is_not_part_of_the_first_column(tmp_path: Path):
    path = write_csv(tmp_path, PATIENT)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert load_heart(path)["age"].tolist() == [63]


BAD_ROWS = {
    "text in a number": (PATIENT.replace("63,", "sesenta,", 1), ["`age`", "no es un número", "fila 2 (sesenta)"]),
    "negative": (PATIENT.replace("63,", "-63,", 1), ["`age`", "fuera de 18 a 110 años", "fila 2 (-63)"]),
    "infinite": (PATIENT.replace("2.3", "inf"), ["`oldpeak`", "fuera de 0 a 10 mm", "fila 2 (inf)"]),
    "fraction of a year": (PATIENT.replace("63,", "63.5,", 1), ["`age`", "no es un entero", "fila 2 (63.5)"]),
    "fraction of a vessel": (PATIENT.replace("0.0,fixed", "0.5,fixed"), ["`ca`", "no es un entero", "fila 2 (0.5)"]),
    "unknown category": (PATIENT.replace("male", "otro", 1), ["`sex`", "no es una de: female, male", "fila 2 (otro)"]),
    "missing predictor": (PATIENT.replace("233", ""), ["`chol`", "falta el valor", "fila 2"]),
    "missing target": (PATIENT[:-1], ["`target`", "falta el valor", "fila 2"]),
    "row cut short": ("63,male,typical ang,145", ["`chol`", "falta el valor", "fila 2"]),
}


@pytest.mark.parametrize(("row", "expected"), BAD_ROWS.values(), ids=BAD_ROWS)
def test_bad_value_names_file_column_and_row(tmp_path: Path, row: str, expected: list[str]):
    with pytest.raises(DataError) as caught:
        load_heart(write_csv(tmp_path, PATIENT, row))
    message = str(caught.value)
    assert "`pacientes.csv` tiene 1 de 2 filas" in message
    for fragment in expected:
        assert fragment in message


def test_only_the_first_bad_rows_are_shown_but_all_are_counted(tmp_path: Path):
    rows = [PATIENT.replace("63,", f"{age},", 1) for age in (200, 201, 202, 203, 204)]
    with pytest.raises(DataError, match=r"5 de 5 filas.*fila 1 \(200\), fila 2 \(201\), fila 3 \(202\) y 2 más"):
        load_heart(write_csv(tmp_path, *rows))


BAD_FILES = {
    "empty": (b"", "está vacío"),
    "header only": (HEADER.encode() + b"\n", "solo tiene el encabezado"),
    "missing column": (f"{HEADER}\n{PATIENT}\n".replace(",chol", "").replace(",233", "").encode(), "Faltan: chol"),
    "extra column": (f"{HEADER},peso\n{PATIENT},80\n".encode(), "Sobran: peso"),
    "semicolons": (f"{HEADER}\n{PATIENT}\n".replace(",", ";").encode(), "no está separado por comas"),
    "latin-1": (f"{HEADER}\n{PATIENT.replace('male', 'varón')}\n".encode("latin-1"), "no está en UTF-8"),
    "one line too long": (f"{HEADER}\n{PATIENT}\n{PATIENT},1,2\n".encode(), "más columnas que el encabezado"),
    "every line too long": (f"{HEADER}\n{PATIENT},1\n{PATIENT},2\n".encode(), "más columnas que el encabezado"),
}


@pytest.mark.parametrize(("content", "expected"), BAD_FILES.values(), ids=BAD_FILES)
def test_bad_file_says_what_is_wrong_and_what_to_do(tmp_path: Path, content: bytes, expected: str):
    path = tmp_path / "pacientes.csv"
    path.write_bytes(content)
    with pytest.raises(DataError, match=expected) as caught:
        load_heart(path)
    assert "pacientes.csv" in str(caught.value)
    assert caught.value.next_step


def test_missing_file_and_folder_are_not_a_traceback(tmp_path: Path):
    with pytest.raises(DataError, match="No encuentro"):
        load_heart(tmp_path / "nada.csv")
    with pytest.raises(DataError, match="No puedo leer"):
        load_heart(tmp_path)


def test_truncated_parquet_is_rejected(tmp_path: Path):
    path = build_wine_parquet(tmp_path / "wine.parquet")
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DataError, match="no es un Parquet entero"):
        read_parquet(path, WINE_SCHEMA, next_step="Repita el paso anterior.")


def test_encoding_follows_the_order_of_the_schema():
    encoded = encode_heart(load_heart().head(1))
    assert encoded.columns.tolist() == list(HEART_FEATURES)
    # Primer paciente de UCI: hombre (1), angina típica (0), hipertrofia (2), descendente (2), defecto fijo (1).
    expected = [63, 1, 0, 145, 233, 1, 2, 150, 0, 2.3, 2, 0, 1]
    np.testing.assert_allclose(encoded.to_numpy()[0], np.array(expected, dtype="float32"))
    assert encoded.dtypes.unique().tolist() == [np.dtype("float32")]


def test_encoding_keeps_missing_values_missing():
    heart = load_heart()
    pd.testing.assert_frame_equal(encode_heart(heart).isna(), heart[list(HEART_FEATURES)].isna())


def test_encoding_accepts_plain_text_and_rejects_unknown_categories():
    heart = load_heart()
    plain = heart.astype({name: object for name in ("sex", "cp", "restecg", "slope", "thal")})
    pd.testing.assert_frame_equal(encode_heart(plain), encode_heart(heart))
    with pytest.raises(DataError, match="`cp` tiene una categoría desconocida"):
        encode_heart(plain.assign(cp="otro dolor"))
    with pytest.raises(DataError, match="Faltan predictores: thal"):
        encode_heart(plain.drop(columns="thal"))


def test_wine_rejects_a_table_of_patients():
    with pytest.raises(DataError, match="Faltan: fixed acidity"):
        load_wine_quality(HEART_CSV)
    assert load_wine_quality(WINE_CSV)["pH"].between(2.74, 4.01).all()
