"""Las formas de repartir tareas de joblib: en serie, entre procesos y en un clúster de Dask; y lo que tarda cada una.

Cada forma se usa con `with`, da cuántas tareas hace a la vez, y al salir no deja procesos.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import resource_tracker
from typing import Any

import dask
from dask.distributed import Client, LocalCluster
from distributed import rpc
from joblib import Parallel, delayed, parallel_config
from joblib.externals.loky import get_reusable_executor
from threadpoolctl import threadpool_limits

from shared.errors import ServiceError

Work = Callable[[], object]

CONNECT_SECONDS = 5
START_DASK = "Arranque `dask scheduler`, y `dask worker` con la dirección que aquel muestra: `tcp://máquina:puerto`."


@dataclass(frozen=True)
class Timing:
    """Lo que tardó un trabajo; `speedup` es cuántas veces más rápido fue que en serie, sin contar el arranque."""

    way: str
    workers: int
    startup_seconds: float
    seconds: float
    speedup: float
    efficiency: float


def time_in(
    pool: AbstractContextManager[int], way: str, work: Work, *, warm_up: Work, reference: Timing | None = None
) -> Timing:
    """Cronometra `work` dentro de una de las formas de este módulo, que llega sin abrir y se llama `way`.

    El arranque se mide aparte, con `warm_up`: lo mismo en pequeño, para que cada proceso importe lo que va a usar.
    Sin `reference`, lo que se tardó en serie, este trabajo es la referencia.
    """
    start = time.perf_counter()
    with pool as workers:
        warm_up()
        ready = time.perf_counter()
        work()
        seconds = time.perf_counter() - ready
    speedup = reference.seconds / seconds if reference else 1.0
    return Timing(way, workers, *(round(value, 4) for value in (ready - start, seconds, speedup, speedup / workers)))


@contextmanager
def serial() -> Iterator[int]:
    """Una tarea tras otra, en este proceso y con un solo hilo de cálculo, como los procesos de las otras formas."""
    with threadpool_limits(1), parallel_config("sequential"):
        yield 1


@contextmanager
def processes(workers: int) -> Iterator[int]:
    """Procesos de joblib en esta máquina, ya arrancados, con un hilo de cálculo cada uno."""
    with parallel_config("loky", n_jobs=workers, inner_max_num_threads=1):
        try:
            ready: set[int] = set()
            while len(ready) < workers:
                ready.update(Parallel()(delayed(os.getpid)() for _ in range(workers)))
            yield workers
        finally:
            get_reusable_executor(reuse=True).shutdown(kill_workers=True)


@contextmanager
def local_cluster(workers: int) -> Iterator[int]:
    """Clúster de Dask en esta máquina, sin tablero; Dask da un hilo de cálculo a cada uno de sus procesos."""
    with ExitStack() as stack:
        scratch = stack.enter_context(tempfile.TemporaryDirectory())
        stack.enter_context(dask.config.set({"temporary-directory": scratch}))
        with _interrupt_later():
            cluster = LocalCluster(
                n_workers=workers,
                threads_per_worker=1,
                host="127.0.0.1",
                dashboard_address=None,
                # Aun sin tablero, el planificador abre un puerto con su estado: que sea uno libre, y no el 8787.
                scheduler_kwargs={"dashboard_address": "127.0.0.1:0"},
                silence_logs=logging.CRITICAL,
            )
            stack.enter_context(cluster)
        yield stack.enter_context(remote_cluster(cluster.scheduler_address))


@contextmanager
def _interrupt_later() -> Iterator[None]:
    """Deja Ctrl-C para el final: un clúster a medio arrancar no se cierra bien. Lo que arranca dentro no lo recibe."""
    resource_tracker.ensure_running()  # Si arrancara dentro, desbloquearía la señal.
    received: list[int] = []
    previous = signal.signal(signal.SIGINT, lambda number, _: received.append(number))
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        signal.signal(signal.SIGINT, previous)
    if received:
        raise KeyboardInterrupt


@contextmanager
def remote_cluster(scheduler: str) -> Iterator[int]:
    """Clúster de Dask ya en marcha, como el que comprueba `check_scheduler`; perderlo a medias es un `ServiceError`."""
    with Client(scheduler, timeout=CONNECT_SECONDS) as client, parallel_config("dask", client=client):
        try:
            yield sum(client.nthreads().values())
        except CancelledError as error:
            raise ServiceError(f"Se perdió el clúster de Dask de `{scheduler}`.", next_step=START_DASK) from error


def check_scheduler(scheduler: str) -> None:
    """Comprueba que hay un clúster de Dask en la dirección `tcp://máquina:puerto`.

    Raises:
        ServiceError: si no contesta en `CONNECT_SECONDS`, o no tiene procesos.
    """
    # `Client` esperaría sin límite a quien acepta la conexión y no contesta.
    with suppress(OSError, ValueError, asyncio.TimeoutError):
        if asyncio.run(asyncio.wait_for(_identify(scheduler), CONNECT_SECONDS)).get("workers"):
            return
    why = "Ahí no contesta ningún planificador, o no tiene procesos."
    raise ServiceError(f"No hay un clúster de Dask en `{scheduler}`.", why=why, next_step=START_DASK)


async def _identify(address: str) -> dict[str, Any]:
    if not address.startswith("tcp://"):
        raise ValueError(address)
    async with rpc(address) as node:
        return await node.identity()
