"""Usar un servicio: anotar el uso, adoptar el que esté en marcha o arrancar uno, y soltarlo al final."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import filelock

from shared import ROOT
from shared.errors import ServiceError, require_package
from shared.services.base import Endpoint, Service, get_service
from shared.services.files import ServiceFiles, is_held
from shared.services.processes import GRACE_SECONDS, MARK, end_marked

TICK_SECONDS = 0.05
HUNG_SECONDS = 20.0
"""Si un servicio en marcha no responde en este tiempo, se da por colgado y se sustituye."""
LOG_LINES = 12

_guardians: dict[str, subprocess.Popen[bytes]] = {}
"""Guardianes que arrancó este proceso, por su marca: como padre, le toca recogerlos cuando terminan."""


@contextmanager
def run_service(service: Service) -> Iterator[Endpoint]:
    """Mantiene un servicio a disposición del bloque; lo para quien lo suelte el último.

    Si la configuración ya tiene una dirección, la comprueba y la da, sin arrancar nada.

    Raises:
        ToolError: si falta el paquete que trae el motor.
        ServiceError: si no responde o no arranca.
    """
    from shared.settings import get_settings

    settings = get_settings()
    if environment := service.configured(settings):
        yield _check_configured(service, environment)
        return
    require_package(service.package, extra=service.extra)
    files = ServiceFiles(settings.labs_home.resolve(), service.name)
    with ExitStack() as stack:
        needed = [stack.enter_context(run_service(get_service(name))) for name in service.needs]
        stack.enter_context(_using(service, files))
        yield _adopt_or_start(service, files, needed)


def _check_configured(service: Service, environment: dict[str, str]) -> Endpoint:
    """Comprueba que responde el servicio que indica la configuración."""
    variable = service.variables[0]
    endpoint = Endpoint(service.name, environment[variable], environment)
    try:
        service.probe(endpoint.url)
    except (OSError, ValueError) as error:
        raise ServiceError(
            f"{variable} indica {_without_password(endpoint.url)}, y ahí no responde {service.title}.",
            why=f"{str(error).strip() or type(error).__name__}.",
            next_step=f"Arranque ese servicio o, para usar el embebido, quite la variable: `unset {variable}` "
            "(y su línea en `.env`, si está ahí).",
        ) from error
    return endpoint


def _without_password(url: str) -> str:
    try:
        password = urlsplit(url).password
    except ValueError:
        return url
    return url.replace(f":{password}@", ":***@") if password else url


@contextmanager
def _using(service: Service, files: ServiceFiles) -> Iterator[None]:
    """Anota el uso mientras dura el bloque; si era el último, espera a que el servicio se pare."""
    owner = os.getpid()
    try:
        path, lease = files.new_use()
    except OSError as error:
        raise ServiceError(
            f"No puedo escribir en `{files.folder}`.",
            why=f"{error.strerror or error}.",
            next_step=f"Revise el espacio y los permisos: `ls -ld {files.home}`. Si es de otro usuario, elija otra "
            "carpeta con `LABS_HOME`.",
        ) from error
    try:
        yield
    finally:
        # Un hijo creado con `fork` dentro del bloque también pasa por aquí, y el uso no es suyo.
        if os.getpid() == owner:
            path.unlink(missing_ok=True)
            lease.close()
            _release(service, files)


def _release(service: Service, files: ServiceFiles) -> None:
    """Espera a que el guardián pare el servicio, si ya nadie lo usa; si al guardián lo mataron, lo hace por él."""
    deadline = time.monotonic() + 2 * GRACE_SECONDS
    while is_held(files.state) and not files.uses() and time.monotonic() < deadline:
        time.sleep(TICK_SECONDS)
    if files.state.exists() and not files.uses():
        with suppress(filelock.Timeout), files.lock(timeout=GRACE_SECONDS):
            if not is_held(files.state) and not files.uses():
                _end_all(service, files)
    _collect_guardian(files)


def _adopt_or_start(service: Service, files: ServiceFiles, needed: Sequence[Endpoint]) -> Endpoint:
    timeout = service.start_deadline + 2 * GRACE_SECONDS
    try:
        with files.lock(timeout=timeout):
            return _adopt(service, files) or _start(service, files, needed)
    except filelock.Timeout as error:
        raise ServiceError(
            f"Otro proceso lleva más de {timeout:.0f} s arrancando o parando {service.title}.",
            next_step=f"Lea su registro: `{files.log}`",
        ) from error


def _adopt(service: Service, files: ServiceFiles) -> Endpoint | None:
    """Devuelve el servicio que esté en marcha, si su guardián vive y el motor responde."""
    deadline = time.monotonic() + HUNG_SECONDS
    while is_held(files.state):
        try:
            endpoint = _read_state(files.state)
            service.probe(endpoint.url)
            return endpoint
        except OSError:
            if time.monotonic() > deadline:
                return None
            time.sleep(TICK_SECONDS)
    return None


def _read_state(path: Path) -> Endpoint:
    state = json.loads(path.read_text(encoding="utf-8"))
    return Endpoint(state["name"], state["url"], state["environment"], tuple(state["command"]))


def check_running(endpoint: Endpoint) -> None:
    """Comprueba que un servicio embebido sigue en marcha.

    Raises:
        ServiceError: si se detuvo.
    """
    from shared.settings import get_settings

    files = ServiceFiles(get_settings().labs_home.resolve(), endpoint.name)
    if endpoint.command and not is_held(files.state):
        raise ServiceError(
            f"El servicio «{endpoint.name}» se detuvo.",
            why=f"Lo último que escribió:\n{_tail(files.log)}",
            next_step=f"Arránquelo otra vez: `labs services {endpoint.name}`",
        )


def _start(service: Service, files: ServiceFiles, needed: Sequence[Endpoint]) -> Endpoint:
    """Arranca el guardián y espera a que el motor esté listo; antes quita lo que dejó uno que murió a la fuerza."""
    _end_all(service, files)
    _announce(service, first_time=not files.data.exists())
    try:
        guardian = _launch_guardian(files, needed)
        while guardian.poll() is None:
            if files.state.exists():
                return _read_state(files.state)
            time.sleep(TICK_SECONDS)
    except BaseException:
        _end_all(service, files)
        raise
    _end_all(service, files)
    raise ServiceError(
        f"{service.title} no arrancó.",
        why=f"Lo último que escribió:\n{_tail(files.log)}",
        next_step=f"El registro completo está en `{files.log}`. Si sus datos se pueden perder, bórrelos y repita: "
        f"`rm -r '{files.data}'`",
    )


def _launch_guardian(files: ServiceFiles, needed: Sequence[Endpoint]) -> subprocess.Popen[bytes]:
    """Lanza el guardián en su propia sesión: Ctrl-C en la terminal no llega a él ni al motor."""
    addresses = {name: value for endpoint in needed for name, value in endpoint.environment.items()}
    with files.log.open("wb") as log:
        guardian = subprocess.Popen(  # noqa: S603
            [sys.executable, "-m", "shared.services.guardian", files.name, str(files.home)],
            cwd=ROOT,
            env={**os.environ, **addresses, MARK: files.mark, "PYTHONUNBUFFERED": "1"},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    _guardians[files.mark] = guardian
    return guardian


def _end_all(service: Service, files: ServiceFiles) -> None:
    """Termina lo que quede del servicio, guardián incluido, sin contar con él."""
    end_marked(files.mark, stop_signal=service.stop_signal)
    service.clean(files.data)
    files.state.unlink(missing_ok=True)
    _collect_guardian(files)


def _collect_guardian(files: ServiceFiles) -> None:
    """Recoge el guardián que arrancó este proceso, si ya está terminando; sin esto quedaría como zombi."""
    guardian = _guardians.get(files.mark)
    if guardian and not files.state.exists():
        with suppress(subprocess.TimeoutExpired):
            guardian.wait(GRACE_SECONDS)


def _announce(service: Service, *, first_time: bool) -> None:
    """Avisa por la salida de errores: la estándar es para lo que otro programa va a leer."""
    seconds = service.first_start_seconds if first_time else 0
    note = f" (la primera vez tarda unos {seconds} s)" if seconds else ""
    sys.stderr.write(f"Arrancando {service.title}{note}…\n")
    sys.stderr.flush()


def _tail(log: Path) -> str:
    lines = [line for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    return "\n".join(lines[-LOG_LINES:]) or "(nada)"
