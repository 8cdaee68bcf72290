"""Crea las claves de la pila, la primera vez, en un volumen: no están en ningún archivo del repositorio.

python clase4_airflow/make_keys.py /claves
"""

from __future__ import annotations

import base64
import json
import os
import secrets
from pathlib import Path
from typing import Annotated

import typer

from shared.commands import run_script


def keys(password: str) -> dict[str, str]:
    """Nombre de archivo y contenido: cifrado de la base de datos, firma de las sesiones y contraseña."""
    return {
        "fernet": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
        "jwt": secrets.token_urlsafe(64),
        "passwords.json": json.dumps({"admin": password}),
    }


def main(
    folder: Annotated[Path, typer.Argument(help="Carpeta de las claves.")],
    password: Annotated[str, typer.Option(envvar="AIRFLOW_PASSWORD", help="Contraseña del usuario admin.")],
) -> None:
    """Crea las claves que falten; las que ya están no cambian, salvo la contraseña."""
    folder.mkdir(parents=True, exist_ok=True)
    os.umask(0o077)
    for name, content in keys(password).items():
        if name == "passwords.json" or not (folder / name).exists():
            (folder / name).write_text(content, encoding="utf-8")
    typer.echo(f"Claves en {folder}")


if __name__ == "__main__":
    run_script(main)
