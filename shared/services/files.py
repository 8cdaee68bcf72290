"""Los archivos de un servicio en `.labs/`, y los bloqueos que dicen quién sigue vivo.

Un uso es un archivo que su proceso mantiene bloqueado. El núcleo suelta el bloqueo cuando el proceso termina,
sea como sea (también con `kill -9`), y ni `fork` ni `exec` lo heredan: no hace falta confiar en números de
proceso, que se reutilizan. El archivo de estado del guardián funciona igual.
"""

from __future__ import annotations

import fcntl
import os
import secrets
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from filelock import FileLock


def hold(path: Path, content: str = "") -> IO[str]:
    """Crea un archivo que aparece ya completo y bloqueado; el bloqueo dura lo que el archivo abierto."""
    temporary = path.with_name(f".{path.name}.tmp")
    file = temporary.open("w", encoding="utf-8")
    fcntl.lockf(file, fcntl.LOCK_EX)
    file.write(content)
    file.flush()
    temporary.replace(path)
    return file


def is_held(path: Path) -> bool:
    """Dice si otro proceso, que sigue vivo, tiene el archivo bloqueado.

    No sirve para un archivo propio: al cerrarlo aquí, POSIX soltaría también el bloqueo.
    """
    try:
        with path.open("rb") as file:
            fcntl.lockf(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except (BlockingIOError, PermissionError):
        return True
    return False


@dataclass(frozen=True)
class ServiceFiles:
    """Dónde está cada cosa de un servicio.

    Attributes:
        home: la carpeta `.labs`, absoluta.
        name: uno de `SERVICES`.
    """

    home: Path
    name: str

    @property
    def data(self) -> Path:
        """Lo que el motor guarda entre un arranque y otro."""
        return self.home / self.name

    @property
    def folder(self) -> Path:
        """Lo que hace falta mientras está en marcha, de todos los servicios."""
        return self.home / "servicios"

    @property
    def state(self) -> Path:
        """JSON con la dirección; existe mientras el servicio está listo, bloqueado por su guardián."""
        return self.folder / f"{self.name}.json"

    @property
    def log(self) -> Path:
        """Lo que escribieron el guardián y el motor la última vez."""
        return self.folder / f"{self.name}.log"

    @property
    def mark(self) -> str:
        """Valor de la variable que llevan todos los procesos del servicio (`processes.MARK`)."""
        return str(self.data)

    def lock(self, *, timeout: float) -> FileLock:
        """Cerrojo para decidir si el servicio arranca, se adopta o se para: uno cada vez."""
        return FileLock(self.folder / f"{self.name}.lock", timeout=timeout)

    def new_use(self) -> tuple[Path, IO[str]]:
        """Anota un uso de este proceso."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"{self.name}.uso-{os.getpid()}-{secrets.token_hex(4)}"
        return path, hold(path)

    def uses(self) -> list[Path]:
        """Usos anotados, de procesos vivos o muertos."""
        with suppress(FileNotFoundError):
            return list(self.folder.glob(f"{self.name}.uso-*"))
        return []

    def in_use(self) -> bool:
        """Dice si alguien vivo usa el servicio, y borra los usos de los muertos. Solo para el guardián."""
        live = False
        for path in self.uses():
            if is_held(path):
                live = True
            else:
                path.unlink(missing_ok=True)
        return live
