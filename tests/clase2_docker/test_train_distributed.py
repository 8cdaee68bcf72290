"""La misma búsqueda da lo mismo en serie, con procesos y con Dask, y al terminar no queda ningún proceso."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest
from dask.distributed import Client
from joblib import Parallel, delayed
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from threadpoolctl import threadpool_info, threadpool_limits

from clase2_docker.pools import CONNECT_SECONDS, Timing, check_scheduler, local_cluster, processes, serial, time_in
from clase2_docker.train_distributed import build_search, load_wines, require_same_scores
from shared import ROOT
from shared.errors import LabError, ServiceError
from tests.docker_stack import free_port

SCRIPT = ROOT / "clase2_docker" / "train_distributed.py"
DEADLINE_SECONDS = 60
FEW_TREES = ("--trees", "3")
TERMINAL = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "start_new_session": True}
LONG_WORK = """
import time
from joblib import Parallel, delayed
from clase2_docker import pools
from shared.commands import run_script

def main(way: str) -> None:
    with getattr(pools, way)(2):
        print("listo", flush=True)
        Parallel()(delayed(time.sleep)(0.1) for _ in range(1000))

run_script(main)
"""


def run(*options: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, SCRIPT, *FEW_TREES, *options]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=DEADLINE_SECONDS)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Carpeta de una ejecución con dos procesos en esta máquina."""
    folder = tmp_path_factory.mktemp("ejecucion")
    result = run("--output", folder)
    assert result.returncode == 0, result.stderr
    return folder


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Un planificador y un proceso de trabajo de verdad, como los de dos máquinas; da su dirección."""
    folder, address = tmp_path_factory.mktemp("dask"), f"tcp://127.0.0.1:{free_port()}"
    # El tablero no se usa, pero su puerto se abriría para toda la red.
    here = ("--host", "127.0.0.1", "--no-dashboard", "--dashboard-address", "127.0.0.1:0")
    scheduler = ["dask_scheduler", "--port", address.rsplit(":", 1)[1], "--no-show", *here]
    worker = ["dask_worker", address, "--nthreads", "2", *here]
    started = []
    try:
        for module, *options in (scheduler, [*worker, "--local-directory", str(folder)]):
            command = [sys.executable, "-m", f"distributed.cli.{module}", *options]
            quiet = subprocess.DEVNULL
            started.append(subprocess.Popen(command, cwd=folder, stdout=quiet, stderr=quiet))
        yield address
    finally:
        for process in reversed(started):
            process.terminate()
            process.wait(DEADLINE_SECONDS)


def test_the_three_ways_give_the_result_of_scikit_learn(finished: Path):
    record = json.loads((finished / "distribuido" / "resultados.json").read_text(encoding="utf-8"))
    model = HistGradientBoostingClassifier(max_iter=3, early_stopping=False, random_state=42)
    grid = {"learning_rate": [0.01, 0.02, 0.05], "max_leaf_nodes": [6, 12, 24]}
    folds = StratifiedKFold(5, shuffle=True, random_state=42)
    with threadpool_limits(1):
        search = GridSearchCV(model, grid, scoring="average_precision", cv=folds).fit(*load_wines())
    assert record["best"]["params"] == search.best_params_
    assert record["best"]["average_precision"] == pytest.approx(search.best_score_, abs=5e-5)
    assert [way["workers"] for way in record["ways"]] == [1, 2, 2]
    serial_seconds = record["ways"][0]["seconds"]
    for way in record["ways"]:
        assert way["speedup"] == pytest.approx(serial_seconds / way["seconds"], rel=1e-2)
        assert way["efficiency"] == pytest.approx(way["speedup"] / way["workers"], rel=1e-2)
    assert (finished / "distribuido" / "tiempos.png").read_bytes().startswith(b"\x89PNG")


def test_repeated_wines_are_left_out():
    features, target = load_wines()
    assert features.shape == (1359, 11)
    # 184 de los 1359 vinos distintos tienen un 7 o un 8.
    assert target.sum() == 184


@pytest.mark.parametrize("pool", [processes, local_cluster])
def test_the_work_is_done_in_other_processes(pool):
    def where() -> list[int]:
        return Parallel()(delayed(os.getpid)() for _ in range(20))

    with serial():
        assert set(where()) == {os.getpid()}
    with pool(2) as workers:
        used = set(where())
    assert workers == 2
    assert os.getpid() not in used
    assert 1 <= len(used) <= 2


def test_startup_does_not_count_as_work():
    with_reference = Timing("serie", 1, 0.0, 0.4, 1.0, 1.0)
    timing = time_in(
        serial(), "otra", lambda: time.sleep(0.1), warm_up=lambda: time.sleep(0.5), reference=with_reference
    )
    assert timing.startup_seconds >= 0.5
    assert 0.1 <= timing.seconds < 0.4
    assert timing.speedup == pytest.approx(0.4 / timing.seconds, rel=1e-2)


def test_different_results_are_not_accepted():
    with serial():
        searches = [build_search(trees=1, seed=0).fit(*load_wines()) for _ in range(2)]
    require_same_scores(searches)
    searches[1].cv_results_["split3_test_score"] = np.array(searches[1].cv_results_["split3_test_score"]) + 1e-12
    with pytest.raises(LabError, match="no dieron el mismo resultado"):
        require_same_scores(searches)


def test_a_real_cluster_does_the_same_search(cluster: str, finished: Path, tmp_path: Path):
    result = run("--output", tmp_path, "--scheduler", cluster)
    assert result.returncode == 0, result.stderr
    remote, local = (
        json.loads((folder / "distribuido" / "resultados.json").read_text(encoding="utf-8"))
        for folder in (tmp_path, finished)
    )
    assert remote["best"] == local["best"]
    assert remote["ways"][2]["workers"] == 2


def test_a_cluster_that_is_not_there_is_said_before_anything_else(tmp_path: Path):
    result = run("--output", tmp_path, "--scheduler", "planificador:8786")
    assert result.returncode == 1
    assert result.stderr.startswith("Error: No hay un clúster de Dask en `planificador:8786`.\n")
    assert "Traceback" not in result.stderr
    assert result.stdout == ""
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("accepts", [False, True], ids=["nadie escucha", "alguien acepta y calla"])
def test_a_cluster_that_does_not_answer_is_not_waited_for(accepts: bool):
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        if accepts:
            listener.listen()
        start = time.monotonic()
        with pytest.raises(ServiceError, match="no contesta ningún planificador"):
            check_scheduler(f"tcp://127.0.0.1:{listener.getsockname()[1]}")
    assert time.monotonic() - start < CONNECT_SECONDS + 5


def test_a_worker_is_not_taken_for_the_scheduler(cluster: str):
    with Client(cluster, timeout=DEADLINE_SECONDS) as client:
        client.wait_for_workers(1, timeout=DEADLINE_SECONDS)
        [worker] = client.nthreads()
    with pytest.raises(ServiceError, match="ningún planificador"):
        check_scheduler(worker)


def test_the_local_cluster_is_only_for_this_machine():
    with local_cluster(1):
        family = [psutil.Process(), *psutil.Process().children(recursive=True)]
        sockets = [each for process in family for each in process.net_connections("tcp")]
    addresses = [each.laddr for each in sockets if each.status == psutil.CONN_LISTEN]
    assert addresses
    assert {address.ip for address in addresses} == {"127.0.0.1"}
    assert 8787 not in {address.port for address in addresses}


@pytest.mark.parametrize("pool", [lambda _: serial(), processes, local_cluster], ids=["serie", "joblib", "Dask"])
def test_every_process_calculates_with_one_thread(pool):
    def threads() -> set[int]:
        import sklearn.ensemble  # noqa: F401  (carga OpenMP)

        return {each["num_threads"] for each in threadpool_info()}

    with pool(2):
        assert set().union(*Parallel()(delayed(threads)() for _ in range(8))) == {1}


def test_another_run_does_not_replace_the_results_silently(finished: Path):
    before = (finished / "distribuido" / "resultados.json").read_bytes()
    result = run("--output", finished, "--seed", "7")
    assert result.returncode == 1
    assert "seed: 42 → 7" in result.stderr
    assert (finished / "distribuido" / "resultados.json").read_bytes() == before


def interrupt(process: subprocess.Popen[str]) -> str:
    """Hace lo que Ctrl-C en una terminal, comprueba que no queda ningún proceso y devuelve lo que se escribió."""
    family = psutil.Process(process.pid).children(recursive=True)
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(DEADLINE_SECONDS) == 130
    _, alive = psutil.wait_procs(family, timeout=10)
    assert [child for child in alive if child.status() != psutil.STATUS_ZOMBIE] == []
    return process.stderr.read()


@pytest.mark.parametrize(("line", "child"), [("serie", "loky"), ("joblib", "spawn_main")], ids=["joblib", "Dask"])
def test_ctrl_c_while_the_processes_start_leaves_none(tmp_path: Path, line: str, child: str):
    command = [sys.executable, SCRIPT, *FEW_TREES, "--output", tmp_path]
    with subprocess.Popen(command, **TERMINAL) as process:
        while not process.stdout.readline().startswith(line):
            assert process.poll() is None
        while not any(child in " ".join(each.cmdline()) for each in psutil.Process(process.pid).children()):
            time.sleep(0.01)
        assert interrupt(process) == ""
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("way", ["processes", "local_cluster"])
def test_ctrl_c_in_the_middle_of_the_work_leaves_no_process(way: str):
    with subprocess.Popen([sys.executable, "-c", LONG_WORK, way], **TERMINAL) as process:
        assert process.stdout.readline() == "listo\n"
        time.sleep(0.5)
        assert interrupt(process) == ""
