"""Sube los pacientes al almacén de objetos, de donde los lee el ETL.

python clase4_airflow/upload_data.py
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import boto3
import typer

from clase4_airflow.storage import Storage
from shared.commands import run_script
from shared.datasets import HEART_CSV, HEART_SCHEMA, read_csv
from shared.schema import check_columns
from shared.services import s3
from shared.services.base import Endpoint

BUCKET = "mlops"
SOURCE = "datos/heart.csv"


def make_storage(endpoint: Endpoint, *, bucket: str = BUCKET) -> Storage:
    """Abre el almacén de esa dirección y crea la cubeta si no existe."""
    client = boto3.client(
        "s3",
        endpoint_url=endpoint.url,
        aws_access_key_id=endpoint.environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=endpoint.environment["AWS_SECRET_ACCESS_KEY"],
        region_name=endpoint.environment.get("AWS_DEFAULT_REGION", "us-east-1"),
    )
    if bucket not in {item["Name"] for item in client.list_buckets()["Buckets"]}:
        client.create_bucket(Bucket=bucket)
    return Storage(client, bucket)


def spoil(content: bytes, *, rows: int) -> bytes:
    """Estropea las primeras filas de un CSV: una edad que no es un número, para ver la cuarentena."""
    header, *lines = content.decode().splitlines()
    bad = [",".join(["mucha", *line.split(",")[1:]]) for line in lines[:rows]]
    return "\n".join([header, *bad, *lines[rows:], ""]).encode()


def main(
    input_csv: Annotated[Path, typer.Option("--input", help="CSV de pacientes.", show_default="heart.csv")] = HEART_CSV,
    bad_rows: Annotated[int, typer.Option(min=0, help="Filas que se estropean a propósito.")] = 0,
) -> None:
    """Sube los pacientes al almacén de objetos, de donde los lee el ETL."""
    check_columns(read_csv(input_csv), HEART_SCHEMA, source=input_csv.name)
    with s3.running() as endpoint:
        storage = make_storage(endpoint)
        key = storage.write(SOURCE, spoil(input_csv.read_bytes(), rows=bad_rows))
    typer.echo(f"Subido a {storage.address(key)}" + (f", con {bad_rows} filas estropeadas" if bad_rows else ""))


if __name__ == "__main__":
    run_script(main)
