"""Mide la memoria de Airflow embebido, parado y trabajando, contra la de Airflow con sus valores de fábrica.

Es la suma de PSS de todos sus procesos: lo que comparten se cuenta una vez. Solo en Linux, y tarda unos 5 minutos.

python benchmarks/airflow.py
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil
import requests
import typer

from clase4_airflow.airflow_api import FINISHED, AirflowApi
from clase4_airflow.upload_data import SOURCE, make_storage
from shared import ROOT
from shared.commands import run_script
from shared.datasets import HEART_CSV
from shared.services import airflow, s3
from shared.services.guardian import candidate_ports

SETTLE_SECONDS = 20
DAGS = ("etl_process_taskflow", "train_and_register")


def family(root: psutil.Process) -> list[psutil.Process]:
    """Un proceso y todos sus descendientes."""
    return [root, *root.children(recursive=True)]


def pss(root: psutil.Process) -> tuple[int, int]:
    """Procesos, y suma de su PSS en MB."""
    total, count = 0, 0
    for process in family(root):
        try:
            total += process.memory_full_info().pss
            count += 1
        except psutil.NoSuchProcess:
            continue
    return count, total // 10**6


def guardian() -> psutil.Process:
    """El proceso que cuida de Airflow; de él cuelgan los demás."""
    [found] = [child for child in psutil.Process().children() if "airflow" in child.cmdline()]
    return found


def launch_and_measure(api: AirflowApi, dag: str, root: psutil.Process) -> tuple[int, int]:
    """Lanza un DAG y da la mayor suma mientras dura."""
    api.set_paused(dag, paused=False)
    run = api.trigger(dag)
    most = (0, 0)
    while api.get(f"dags/{dag}/dagRuns/{run}")["state"] not in FINISHED:
        most = max(most, pss(root), key=lambda pair: pair[1])
        time.sleep(0.5)
    return most


@contextmanager
def factory_airflow() -> Iterator[psutil.Process]:
    """`airflow standalone` con sus valores de fábrica, ya sano."""
    port = next(candidate_ports(8080))
    with tempfile.TemporaryDirectory() as home:
        settings = {**airflow.airflow_settings(Path(home)), "AIRFLOW__API__PORT": str(port)}
        url = f"http://127.0.0.1:{port}"
        settings["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"] = f"{url}/execution/"
        settings["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
        command = [sys.executable, "-m", "airflow", "standalone"]
        program = subprocess.Popen(  # noqa: S603
            command, cwd=ROOT, env={**os.environ, **settings}, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT
        )
        root = psutil.Process(program.pid)
        try:
            wait_until_healthy(url)
            yield root
        finally:
            processes = family(root)
            for process in processes:
                process.terminate()
            for process in psutil.wait_procs(processes, timeout=20)[1]:
                process.kill()
            program.wait()


def wait_until_healthy(url: str) -> None:
    """Espera a que el servidor conteste."""
    while True:
        try:
            if requests.get(f"{url}/api/v2/monitor/health", timeout=5).ok:
                return
        except requests.RequestException:
            time.sleep(1)


def main() -> None:
    """Mide la memoria de Airflow embebido contra la de Airflow con sus valores de fábrica."""
    with ExitStack() as stack:
        endpoint = stack.enter_context(airflow.running())
        make_storage(stack.enter_context(s3.running())).write(SOURCE, HEART_CSV.read_bytes())
        api, root = AirflowApi(endpoint.url), guardian()
        time.sleep(SETTLE_SECONDS)
        idle = pss(root)
        working = [launch_and_measure(api, dag, root) for dag in DAGS]
    with factory_airflow() as root:
        time.sleep(SETTLE_SECONDS)
        factory = pss(root)
    names = ("De fábrica, parado", "Embebido, parado", *(f"Embebido, con {dag}" for dag in DAGS))
    for name, (count, megabytes) in zip(names, (factory, idle, *working), strict=True):
        typer.echo(f"{name:<36}{count:4} procesos{megabytes:6} MB   {megabytes / factory[1]:4.2f} veces")


if __name__ == "__main__":
    run_script(main)
