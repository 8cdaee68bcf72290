"""Servicios embebidos: los mismos motores que en producción, sin Docker, sin cuenta y sin dejar rastro.

En un programa:

    from shared.services import valkey

    with valkey.running() as endpoint:
        client = redis.Redis.from_url(endpoint.url)

Si la variable del servicio (`REDIS_URL`, …) ya tiene una dirección, se usa esa y no se arranca nada.

Cómo está hecho, en orden de lectura:

- `base.py`: qué es un servicio. `valkey.py`, `postgres.py`, `s3.py`, `mlflow.py` y `airflow.py` son los cinco.
- `lifecycle.py`: lo que hace quien lo usa: anota su uso, y adopta el que haya o arranca uno.
- `guardian.py`: el proceso que vigila al motor, y lo para cuando nadie lo usa.
- `files.py` y `processes.py`: los archivos y los procesos de un servicio.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shared.services.base import Endpoint

SERVICES = ("valkey", "postgres", "s3", "mlflow", "airflow")


@contextmanager
def running_services(names: Sequence[str]) -> Iterator[list[Endpoint]]:
    """Mantiene en marcha varios servicios mientras dura el bloque.

    Args:
        names: algunos de `SERVICES`.

    Yields:
        La dirección de cada uno, en el mismo orden.

    Raises:
        LabError: si un nombre no existe, falta un paquete o un servicio no arranca.
    """
    from shared.services.base import get_service
    from shared.services.lifecycle import run_service

    services = [get_service(name) for name in names]
    with ExitStack() as stack:
        yield [stack.enter_context(run_service(service)) for service in services]


@contextmanager
def services_in_background(names: Sequence[str]) -> Iterator[None]:
    """Como `running_services`, pero sin esperar a que arranquen: el bloque empieza mientras tanto.

    Sirve a quien lanza programas que los usan: el primero espera lo que falte, y los demás ya los encuentran.

    Args:
        names: algunos de `SERVICES`.

    Raises:
        LabError: al salir, si alguno no arrancó y el bloque no falló ya por eso.
    """
    with ExitStack() as stack, ThreadPoolExecutor(1) as pool:
        starting = pool.submit(stack.enter_context, running_services(names))
        yield
        starting.result()
