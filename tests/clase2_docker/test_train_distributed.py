"""La misma búsqueda da lo mismo en serie, con procesos y con Dask, y al terminar no queda ningún proceso."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.model_selection import GridSearchCV, StratifiedKFold

from clase2_docker.pools import Timing, local_cluster, processes, serial, time_in
from clase2_docker.train_distributed import build_search, load_wines, require_same_scores
from shared import ROOT
from shared.errors import LabError
from tests.docker_stack import free_port

SCRIPT = ROOT / "clase2_docker" / "train_distributed.py"
DEADLINE_SECONDS = 60
FEW_TREES = ("--trees", "3")


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
    port = address.rsplit(":", 1)[1]
    scheduler = ["dask_scheduler", "--host", "127.0.0.1", "--port", port, "--no-dashboard", "--no-show"]
    worker = ["dask_worker", address, "--nthreads", "2", "--host", "127.0.0.1", "--no-dashboard"]
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
    from joblib import Parallel, delayed

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


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:{}", "planificador:8786"])
def test_a_cluster_that_is_not_there_is_said_at_once(tmp_path: Path, address: str):
    start = time.monotonic()
    result = run("--output", tmp_path, "--scheduler", address.format(free_port()))
    assert time.monotonic() - start < 30
    assert result.returncode == 1
    assert result.stderr.startswith("Error: No hay un clúster de Dask en `")
    assert "Traceback" not in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_another_run_does_not_replace_the_results_silently(finished: Path):
    before = (finished / "distribuido" / "resultados.json").read_bytes()
    result = run("--output", finished, "--seed", "7")
    assert result.returncode == 1
    assert "seed: 42 → 7" in result.stderr
    assert (finished / "distribuido" / "resultados.json").read_bytes() == before


@pytest.mark.parametrize(("line", "trees"), [("serie", 20), ("joblib", 60)])
def test_ctrl_c_leaves_no_process(tmp_path: Path, line: str, trees: int):
    """Se interrumpe tras la línea de una forma, con la siguiente a medias."""
    command = [sys.executable, SCRIPT, "--trees", str(trees), "--output", tmp_path]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, env=environment, start_new_session=True, **pipes) as process:
        while not process.stdout.readline().startswith(line):
            assert process.poll() is None
        time.sleep(2.5)
        family = psutil.Process(process.pid).children(recursive=True)
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(30) == 130
    _, alive = psutil.wait_procs(family, timeout=10)
    assert [child for child in alive if child.status() != psutil.STATUS_ZOMBIE] == []
    assert not (tmp_path / "distribuido").exists()
