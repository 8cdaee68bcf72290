"""Escritura de resultados: o quedan todos los archivos nuevos, o los anteriores intactos."""

from __future__ import annotations

import hashlib
import json
import platform
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from errno import ENOTDIR
from importlib.metadata import version
from pathlib import Path
from typing import Any

from shared.errors import DataError, LabError


def sha256_of(path: Path) -> str:
    """Huella SHA-256 de un archivo, en hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def package_versions(*packages: str) -> dict[str, str]:
    """Versiones de Python y de los paquetes pedidos, para los registros de cada ejecución."""
    return {"python": platform.python_version()} | {name: version(name) for name in packages}


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Escribe un JSON legible, en UTF-8 y con los acentos tal cual."""
    path.write_text(json.dumps(content, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")


def read_json(path: Path, *, next_step: str) -> dict[str, Any]:
    """Lee el registro JSON que dejó un paso anterior.

    Raises:
        DataError: si no existe o no es un objeto JSON; `next_step` dice cómo producirlo.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise DataError(f"No encuentro `{path}`.", next_step=next_step) from error
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise DataError(f"`{path}` no es un JSON legible.", why=f"{error}.", next_step=next_step) from error
    if not isinstance(content, dict):
        raise DataError(f"`{path}` no contiene un objeto JSON.", next_step=next_step)
    return content


@contextmanager
def replace_folder(folder: Path) -> Iterator[Path]:
    """Da una carpeta temporal que ocupa el lugar de `folder` solo si el bloque termina bien.

    Si el bloque falla o se interrumpe, lo que había en `folder` queda como estaba.

    Raises:
        LabError: si no se puede escribir ahí (permisos, disco lleno, o es un archivo).
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
        try:
            yield staging
            staging.chmod(0o755)
            _swap(staging, folder)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
    except OSError as error:
        raise LabError(
            f"No puedo escribir en `{folder}`.",
            why=f"{error.strerror or error}.",
            next_step="Libere espacio, revise los permisos o elija otra carpeta con `--output`.",
        ) from error


def _swap(staging: Path, folder: Path) -> None:
    """Pone `staging` en el lugar de `folder`; si el segundo cambio de nombre falla, deshace el primero."""
    if not folder.exists():
        staging.rename(folder)
        return
    if not folder.is_dir():
        raise NotADirectoryError(ENOTDIR, "ahí hay un archivo, no una carpeta")
    previous = staging.with_name(staging.name + "-anterior")
    folder.rename(previous)
    try:
        staging.rename(folder)
    except OSError:
        previous.rename(folder)
        raise
    shutil.rmtree(previous)


def refuse_other_run(folder: Path, record: str, parameters: Mapping[str, Any], *, force: bool) -> None:
    """Impide sustituir sin aviso los resultados de una ejecución con otros parámetros.

    Repetir la misma ejecución no pierde nada, y se permite.

    Args:
        folder: carpeta de salida.
        record: nombre del JSON de registro, con una clave `parameters`.
        parameters: los de la ejecución que va a empezar.
        force: sustituir de todos modos.

    Raises:
        LabError: si `folder` tiene resultados de otros parámetros, o archivos que no son de este paso.
    """
    if force or not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    remedy = "Elija otra carpeta con `--output`, o sustitúyalos con `--force`."
    if not (folder / record).is_file():
        raise LabError(f"`{folder}` ya existe y no contiene `{record}`: no es de este paso.", next_step=remedy)
    previous = read_json(folder / record, next_step=remedy).get("parameters", {})
    changed = [
        f"{name}: {previous.get(name)!r} → {value!r}"
        for name, value in parameters.items()
        if previous.get(name) != value
    ]
    if changed:
        raise LabError(
            f"`{folder}` guarda los resultados de otra ejecución.",
            why=f"Cambió {'; '.join(changed)}.",
            next_step=remedy,
        )
