"""Las formas de repartir tareas de joblib: en serie, entre procesos y en un clúster de Dask; y lo que tarda cada una.

Cada forma se usa con `with`, da cuántas tareas hace a la vez, y al salir no deja procesos.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from multiprocessing import resource_tracker

import dask
from dask.distributed import Client, LocalCluster
from distributed.comm import connect
from joblib import Parallel, delayed, parallel_config
from joblib.externals.loky import get_reusable_executor
from threadpoolctl import threadpool_limits

from shared.errors import ServiceError

CONNECT_SECONDS = 5
TIMING_HEADER = f"{'':<7}{'procesos':>10}{'arranque':>11}{'búsqueda':>11}{'aceleración':>13}{'eficiencia':>12}"


@dataclass(frozen=True)
class Timing:
    """Lo que tardó un trabajo; `speedup` es cuántas veces más rápido fue que en serie, sin contar el arranque."""

    way: str
    workers: int
    startup_seconds: float
    seconds: float
    speedup: float
    efficiency: float

    def __str__(self) -> str:
        """Una fila de la tabla que encabeza `TIMING_HEADER`."""
        times = f"{self.startup_seconds:>9.1f} s{self.seconds:>9.1f} s"
        return f"{self.way:<7}{self.workers:>10}{times}{self.speedup:>13.2f}{self.efficiency:>12.0%}"


Work = Callable[[], object]


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
    """Clúster de Dask ya en marcha y con procesos; lo comprueba `check_scheduler`."""
    with Client(scheduler, timeout=CONNECT_SECONDS) as client, parallel_config("dask", client=client):
        yield sum(client.nthreads().values())


def check_scheduler(scheduler: str) -> None:
    """Comprueba que hay un clúster de Dask en la dirección `tcp://máquina:puerto`.

    Raises:
        ServiceError: si no contesta en `CONNECT_SECONDS`, o no tiene procesos.
    """
    why = f"En {CONNECT_SECONDS} segundos no contestó, o no tiene procesos."
    try:
        if not re.fullmatch(r"tcp://\S+:\d+", scheduler):
            raise ValueError(scheduler)
        # `Client` espera sin límite a quien acepta la conexión y no contesta.
        asyncio.run(asyncio.wait_for(connect(scheduler), CONNECT_SECONDS)).abort()
        with Client(scheduler, timeout=CONNECT_SECONDS) as client:
            client.wait_for_workers(1, timeout=CONNECT_SECONDS)
    except (OSError, ValueError, asyncio.TimeoutError) as error:
        raise ServiceError(
            f"No hay un clúster de Dask en `{scheduler}`.",
            why="La dirección no es de la forma `tcp://máquina:puerto`." if isinstance(error, ValueError) else why,
            next_step="Arranque `dask scheduler`, y `dask worker` con la dirección que aquel muestra.",
        ) from error
