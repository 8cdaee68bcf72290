"""Las averías del seguimiento: nada de lo calculado se pierde, y nada queda a medias en el servidor."""

from __future__ import annotations

import resource
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import mlflow
import psutil
import pytest
from mlflow import MlflowClient

from clase3_mlflow import track_experiments
from clase3_mlflow.experiment import EXPERIMENT, PROCESS_TAG, end_dead_runs
from clase3_mlflow.search import pending_results
from shared.errors import ServiceError
from tests.clase3_mlflow.conftest import parents, runs_of
from tests.clase3_mlflow.programs import read_until, run_program, start_program
from tests.faults import link_to, mute_server

FAMILIES = ("svm", "logistic", "forest", "boosting")
DOWN_SECONDS = 10
"""Lo que puede tardar en decirse que el servidor no está, desde que se intenta."""
START_SECONDS = 20
"""Lo que puede tardar Python en importar MLflow y scikit-learn en una máquina cargada."""
FULL_BYTES = 20_000_000
"""Tamaño que no puede pasar ningún archivo del servidor con el disco «lleno»; su base de datos ocupa menos."""


def test_running_it_again_adds_runs(tracked: MlflowClient):
    before = {run.info.run_id for run in parents(tracked)}
    track_experiments.main()
    after = {run.info.run_id for run in parents(tracked)}
    assert before < after
    assert len(after) == 2 * len(FAMILIES)
    assert pending_results() == []


def test_what_is_already_on_the_server_is_not_logged_twice(client: MlflowClient, pending: Path):
    names = [folder.name for folder in pending_results()]
    track_experiments.log_pending(client)
    # Como si se hubiera cortado justo antes de borrar la primera carpeta.
    (pending / names[0]).mkdir(parents=True)
    (pending / names[0] / "record.json").write_text("{}", encoding="utf-8")
    track_experiments.log_pending(client)
    assert len(parents(client)) == len(FAMILIES)
    assert pending_results() == []


@pytest.mark.usefixtures("pending")
def test_a_server_that_fails_halfway_loses_nothing(client: MlflowClient, server: str):
    names = {folder.name for folder in pending_results()}
    with (
        link_to(server) as link,
        start_program("track_experiments.py", "--resume", MLFLOW_TRACKING_URI=link.url) as run,
    ):
        read_until(run, "registrado svm")
        link.cut()
        start = time.monotonic()
        _, error = run.communicate()
    assert time.monotonic() - start < DOWN_SECONDS
    assert run.returncode == 1
    assert "Resultados calculados y sin registrar: 3." in error
    assert "track_experiments.py --resume" in error
    assert "Traceback" not in error
    left = {folder.name for folder in pending_results()}
    assert left < names

    again = run_program("track_experiments.py", "--resume")
    assert again.returncode == 0, again.stderr
    assert "[1/4]" not in again.stdout
    finished = [run for run in parents(client) if run.info.status == "FINISHED"]
    assert sorted(run.data.tags["result"] for run in finished) == sorted(names)
    assert not [run for run in runs_of(client) if run.info.status == "RUNNING"]


@pytest.mark.usefixtures("pending")
def test_two_programs_at_once_log_each_result_once(client: MlflowClient):
    both = [start_program("track_experiments.py", "--resume") for _ in range(2)]
    outputs = []
    for process in both:
        with process:
            outputs.append("".join(process.communicate()))
    assert [process.returncode for process in both] == [0, 0], outputs
    assert sorted(run.data.tags["family"] for run in parents(client)) == sorted(FAMILIES)
    assert pending_results() == []


def test_a_deleted_experiment_says_how_to_restore_it_before_computing_anything(client: MlflowClient):
    experiment = client.create_experiment(EXPERIMENT)
    client.delete_experiment(experiment)
    with pytest.raises(ServiceError, match=f"está borrado.*restore --experiment-id {experiment}"):
        track_experiments.main()
    assert pending_results() == []
    client.restore_experiment(experiment)


@pytest.mark.usefixtures("pending")
def test_a_killed_program_leaves_no_run_in_progress(client: MlflowClient):
    with start_program("track_experiments.py", "--resume") as process:
        read_until(process, "registrado svm")
        # La siguiente ya está empezada en cuanto el servidor la tiene.
        while not (started := [run for run in runs_of(client) if run.info.status == "RUNNING"]):
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
    assert "RUNNING" in {client.get_run(run.info.run_id).info.status for run in started}

    again = run_program("track_experiments.py", "--resume")
    assert "quedó a medias: se marca como KILLED" in again.stdout
    status = Counter(run.info.status for run in runs_of(client))
    assert status["RUNNING"] == 0
    assert status["KILLED"] >= 1
    assert Counter(run.info.status for run in parents(client))["FINISHED"] == len(FAMILIES)


def test_only_the_runs_of_dead_processes_of_this_machine_are_ended(client: MlflowClient):
    mlflow.set_experiment(EXPERIMENT)
    process = psutil.Process()
    host = track_experiments.process_tag()[PROCESS_TAG].split(":")[0]
    marks = {
        "viva": track_experiments.process_tag()[PROCESS_TAG],
        "muerta": f"{host}:{process.pid}:1",
        "otra máquina": "otra:1:1",
    }
    experiment = client.get_experiment_by_name(EXPERIMENT).experiment_id
    ids = {name: client.create_run(experiment, tags={PROCESS_TAG: mark}).info.run_id for name, mark in marks.items()}
    assert end_dead_runs(client) == [ids["muerta"]]
    status = {name: client.get_run(run_id).info.status for name, run_id in ids.items()}
    assert status == {"viva": "RUNNING", "muerta": "KILLED", "otra máquina": "RUNNING"}


@pytest.mark.parametrize("name", ["track_experiments.py", "register_model.py", "load_champion.py", "compare_runs.py"])
def test_a_server_that_is_not_there_is_said_in_one_line(name: str):
    start = time.monotonic()
    result = run_program(name, MLFLOW_TRACKING_URI="http://127.0.0.1:9")
    assert time.monotonic() - start < DOWN_SECONDS + START_SECONDS
    assert result.returncode == 1
    [line] = [line for line in result.stderr.splitlines() if line.startswith("Error:")]
    assert "ahí no responde MLflow" in line
    assert "Traceback" not in result.stderr


def test_a_server_that_never_answers_is_said_too():
    with mute_server() as url:
        start = time.monotonic()
        result = run_program("load_champion.py", MLFLOW_TRACKING_URI=url)
    assert time.monotonic() - start < DOWN_SECONDS + START_SECONDS
    assert result.returncode == 1
    assert "Traceback" not in result.stderr


@pytest.fixture
def full_disk(server: str, pending: Path) -> Iterator[None]:
    """El servidor no puede escribir más allá de `FULL_BYTES` en ningún archivo, y la última figura ocupa más."""
    [big] = pending.glob("*-boosting/roc.png")
    big.write_bytes(bytes(2 * FULL_BYTES))
    port = urlsplit(server).port
    owners = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if any(each.laddr.port == port and each.status == "LISTEN" for each in process.net_connections("tcp")):
                owners.append(process.pid)
    assert owners
    for pid in owners:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (FULL_BYTES, resource.RLIM_INFINITY))
    yield
    for pid in owners:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


@pytest.mark.skipif(sys.platform != "linux", reason="solo Linux limita un proceso que ya está en marcha")
@pytest.mark.usefixtures("full_disk")
def test_a_full_disk_on_the_server_is_explained(client: MlflowClient):
    with pytest.raises(ServiceError, match="Resultados calculados y sin registrar: 1") as caught:
        track_experiments.main(resume=True)
    assert "--resume" in str(caught.value)
    assert [folder.name.partition("-")[2] for folder in pending_results()] == ["boosting"]
    assert {run.data.tags["family"] for run in parents(client) if run.info.status == "FINISHED"} == set(FAMILIES[:3])
