"""Escritura de resultados: o quedan todos los archivos nuevos, o los anteriores intactos."""

from __future__ import annotations

import glob
import hashlib
import json
import platform
import secrets
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from errno import ENOTDIR
from importlib.metadata import version
from pathlib import Path
from typing import Any

from shared import ROOT
from shared.errors import DataError, LabError

PREVIOUS = "-anterior"
"""Final del nombre que toma una carpeta mientras se sustituye."""


def sha256_of(path: Path) -> str:
    """Huella SHA-256 de un archivo, en hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def package_versions(*packages: str) -> dict[str, str]:
    """Versiones de Python y de los paquetes pedidos, para los registros de cada ejecución."""
    return {"python": platform.python_version()} | {name: version(name) for name in packages}


def git_commit() -> str:
    """El cambio de git con el que se ejecuta, terminado en «-dirty» si hay algo sin guardar."""
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()  # noqa: S603
    except (OSError, subprocess.CalledProcessError):
        return "desconocido"


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Escribe un JSON legible, en UTF-8 y con los acentos tal cual."""
    path.write_text(json.dumps(content, ensure_ascii=False, indent=2, allow_nan=False) + "\n", encoding="utf-8")


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

    Si el bloque falla o se interrumpe, lo que había en `folder` queda como estaba. Los archivos que alguien más
    puso ahí, y que el bloque no escribe, se conservan.

    Raises:
        LabError: si no se puede escribir ahí (permisos, disco lleno, o es un archivo).
    """
    folder = folder.resolve()  # Un enlace a otro disco sigue siendo un enlace.
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        _recover(folder)
        staging = folder.with_name(f".{folder.name}-{secrets.token_hex(4)}")
        staging.mkdir()
        try:
            yield staging
            _swap(staging, folder)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
    except OSError as error:
        if error.errno is None:  # No es del disco: las bibliotecas de red también derivan de OSError.
            raise
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
    previous = staging.with_name(staging.name + PREVIOUS)
    folder.rename(previous)
    try:
        staging.rename(folder)
    except BaseException:
        previous.rename(folder)
        raise
    _keep_others(previous, folder)


def _keep_others(previous: Path, folder: Path) -> None:
    """Pasa a `folder` lo que había en `previous` y no está en ella, y borra `previous`."""
    for path in previous.iterdir():
        if not (folder / path.name).exists():
            path.rename(folder / path.name)
    shutil.rmtree(previous)


def _recover(folder: Path) -> None:
    """Termina el cambio que otro proceso dejó a medias, si lo mataron entre sus dos pasos."""
    for previous in folder.parent.glob(f".{glob.escape(folder.name)}-*{PREVIOUS}"):
        if folder.exists():
            _keep_others(previous, folder)
        else:
            previous.rename(folder)


def refuse_other_run(folder: Path, record: str, parameters: Mapping[str, Any], *, force: bool) -> None:
    """Impide sustituir sin aviso los resultados de una ejecución con otros parámetros.

    Repetir la misma ejecución no pierde nada, y se permite.

    Args:
        folder: carpeta de salida.
        record: nombre del JSON de registro, con una clave `parameters`.
        parameters: los de la ejecución que va a empezar.
        force: sustituir de todos modos los de este paso; nunca una carpeta de otra cosa.

    Raises:
        LabError: si `folder` tiene resultados de otros parámetros, o archivos que no son de este paso.
    """
    if not folder.is_dir() or not any(folder.iterdir()):
        return
    if not (folder / record).is_file():
        raise LabError(
            f"`{folder}` ya existe y no contiene `{record}`: no es de este paso.",
            next_step="Elija otra carpeta con `--output`.",
        )
    if force:
        return
    remedy = "Elija otra carpeta con `--output`, o sustitúyalos con `--force`."
    previous = _flatten(read_json(folder / record, next_step=remedy).get("parameters", {}))
    changed = [
        f"{name}: {_short(previous.get(name))} → {_short(value)}"
        for name, value in _flatten(parameters).items()
        if previous.get(name) != value
    ]
    if changed:
        raise LabError(
            f"`{folder}` guarda los resultados de otra ejecución.",
            why=f"Cambió {'; '.join(changed)}.",
            next_step=remedy,
        )


def _flatten(parameters: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Parámetros de un solo nivel: `{"model": {"folds": 5}}` pasa a `{"model.folds": 5}`."""
    flat: dict[str, Any] = {}
    for name, value in parameters.items():
        flat |= _flatten(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {f"{prefix}{name}": value}
    return flat


def _short(value: Any) -> str:
    """Un valor para un mensaje; de una huella bastan las primeras cifras."""
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:12]}…"
