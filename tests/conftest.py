"""Lo que toda prueba necesita: estado propio, herramientas externas declaradas y ningún proceso olvidado."""

from __future__ import annotations

import functools
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

# Se fija antes de que nada lea la configuración: estado y salidas temporales, y servicios embebidos.
STATE = Path(tempfile.mkdtemp(prefix="labs-pruebas-"))
os.environ["LABS_HOME"] = str(STATE / "estado")
os.environ["LABS_OUTPUTS"] = str(STATE / "salidas")
os.environ["MPLBACKEND"] = "Agg"
# Los programas de este entorno (ruff, jupyter…) se encuentran aunque no esté activado.
os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
# Lo heredan los procesos que lanzan las pruebas: así se reconocen los que se quedan atrás.
RUN_VARIABLE = "LABS_PRUEBAS"
INDEX_SECONDS = 30
os.environ[RUN_VARIABLE] = str(STATE)
# Quien lance esto en segundo plano puede dejar Ctrl-C desactivado, y los programas probados lo heredarían.
signal.signal(signal.SIGINT, signal.default_int_handler)
# Direcciones de servicios que no son los de la prueba, y colores que cambian los textos que se comparan.
for _name in (
    "AWS_ACCESS_KEY_ID",
    "AWS_ENDPOINT_URL_S3",
    "AWS_SECRET_ACCESS_KEY",
    "DATABASE_URL",
    "FORCE_COLOR",
    "GITHUB_ACTIONS",
    "MLFLOW_TRACKING_URI",
    "REDIS_URL",
):
    os.environ.pop(_name, None)


def _docker_answers() -> bool:
    """Si hay motor y complemento compose."""
    commands = (["docker", "version"], ["docker", "compose", "version"])
    return shutil.which("docker") is not None and all(
        subprocess.run(command, capture_output=True, check=False).returncode == 0 for command in commands
    )


def _chromium_is_there() -> bool:
    """Si están el navegador y la biblioteca que lo maneja."""
    return shutil.which("chromium") is not None and importlib.util.find_spec("playwright") is not None


def _index_answers() -> bool:
    """Si se llega al índice de paquetes de Python."""
    command = [sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--no-deps", "--no-cache", "-"]
    try:
        result = subprocess.run(
            command, input="typer\n", capture_output=True, text=True, timeout=INDEX_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return False
    return result.returncode == 0


TOOLS: dict[str, tuple[str, Callable[[], bool]]] = {
    "index": ("una conexión con el índice de paquetes de Python", _index_answers),
    "docker": ("un motor de Docker en marcha, con compose", _docker_answers),
    "shellcheck": ("el programa shellcheck", lambda: shutil.which("shellcheck") is not None),
    "chromium": ("el navegador chromium y el paquete playwright", _chromium_is_there),
}
"""Marca de las pruebas → lo que necesitan fuera de pip, y cómo se comprueba."""


@functools.cache
def is_available(tool: str) -> bool:
    """Si una herramienta de `TOOLS` está en esta máquina; se mira una vez por proceso."""
    return TOOLS[tool][1]()


def required_tools() -> set[str]:
    """Herramientas que no pueden faltar: `LABS_REQUIRE=docker,chromium`, o `LABS_REQUIRE_DOCKER=1`."""
    names = {name.strip() for name in os.environ.get("LABS_REQUIRE", "").split(",") if name.strip()}
    if os.environ.get("LABS_REQUIRE_DOCKER", "0") not in ("", "0"):
        names.add("docker")
    if unknown := names - set(TOOLS):
        raise pytest.UsageError(f"LABS_REQUIRE nombra algo desconocido: {', '.join(sorted(unknown))}")
    return names


def pytest_configure(config: pytest.Config) -> None:
    """Registra una marca por herramienta."""
    required_tools()
    for tool, (what, _) in TOOLS.items():
        config.addinivalue_line("markers", f"{tool}: necesita {what}.")


def pytest_itemcollected(item: pytest.Item) -> None:
    """Las pruebas con Docker van al mismo proceso, una pila cada vez; las demás, cada archivo al suyo.

    Vale con `--dist loadgroup`, como las ejecuta `labs test`. Así lo que un archivo prepara una vez (un
    entrenamiento, una instalación) no se prepara en cada proceso.
    """
    if item.config.pluginmanager.hasplugin("xdist"):
        group = "docker" if item.get_closest_marker("docker") else item.nodeid.partition("::")[0]
        item.add_marker(pytest.mark.xdist_group(group))


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Salta la prueba a la que le falta una herramienta, o falla si se exigió."""
    for tool, (what, _) in TOOLS.items():
        if item.get_closest_marker(tool) and not is_available(tool):
            if tool in required_tools():
                pytest.fail(f"LABS_REQUIRE exige «{tool}» y falta: {what}.", pytrace=False)
            pytest.skip(f"falta {what}")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Dice qué no se pudo ejecutar y por qué, una línea por motivo."""
    reasons = Counter(
        report.longrepr[2].removeprefix("Skipped: ") for report in terminalreporter.stats.get("skipped", [])
    )
    if reasons:
        terminalreporter.section("Sin ejecutar en esta máquina")
    for reason, count in reasons.most_common():
        terminalreporter.write_line(f"{count} {'prueba' if count == 1 else 'pruebas'}: {reason}")


def pytest_unconfigure() -> None:
    """Borra el estado de la sesión."""
    shutil.rmtree(STATE, ignore_errors=True)


@pytest.fixture(scope="session", autouse=True)
def _nothing_left_behind() -> Iterator[None]:
    """Al terminar no queda ningún proceso lanzado por las pruebas; el que quede es un fallo, y se termina."""
    yield
    _, alive = psutil.wait_procs(_started_by_tests(), timeout=5)
    left = []
    for process in alive:
        with suppress(psutil.NoSuchProcess):
            left.append(" ".join(process.cmdline()))
            process.kill()
    assert not left, f"Procesos que siguen vivos: {left}"


def _started_by_tests() -> list[psutil.Process]:
    """Procesos que heredaron la marca de esta sesión, salvo ella y los auxiliares de joblib."""
    found = []
    for process in psutil.process_iter():
        try:
            ours = process.environ().get(RUN_VARIABLE) == str(STATE) and process.pid != os.getpid()
            helper = any(word in " ".join(process.cmdline()) for word in ("resource_tracker", ".loky."))
        except (psutil.Error, OSError):
            continue
        if ours and not helper:
            found.append(process)
    return found
