"""El servidor simple contesta con `flask run` y con gunicorn, y sus versiones son las del curso."""

from __future__ import annotations

import json
import os
import platform
import re
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from shared import ROOT
from tests.docker_stack import free_port

FOLDER = ROOT / "clase2_docker" / "2-simple_server"
DEADLINE_SECONDS = 30
SERVERS = {
    "flask": ["-m", "flask", "--app", "app", "run", "--port"],
    "gunicorn": ["-m", "gunicorn", "--no-control-socket", "app:app", "--bind"],
}


def get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as response:  # noqa: S310
        return response.read().decode()


@contextmanager
def running(server: str) -> Iterator[str]:
    """El servidor en un puerto libre, como lo lanza un estudiante; da su dirección."""
    port = free_port()
    where = str(port) if server == "flask" else f"127.0.0.1:{port}"
    command = [sys.executable, *SERVERS[server], where]
    with subprocess.Popen(command, cwd=FOLDER, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            deadline = time.monotonic() + DEADLINE_SECONDS
            while time.monotonic() < deadline and process.poll() is None:
                try:
                    get(f"http://127.0.0.1:{port}/health")
                    break
                except urllib.error.URLError:
                    time.sleep(0.1)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


@pytest.mark.parametrize("server", SERVERS)
def test_page_health_and_information(server: str):
    with running(server) as url:
        assert json.loads(get(f"{url}/health")) == {"status": "ok"}
        info = json.loads(get(f"{url}/info"))
        page = get(url)
    assert info["python"] == platform.python_version()
    assert info["host"] == socket.gethostname()
    assert info["user_id"] == os.getuid()
    assert f"el proceso {info['process_id']}" in page
    assert not re.search(r'(?:src|href)="(?:https?:)?//', page), "la página trae algo de fuera"


def test_its_versions_are_those_of_the_course():
    """`./labs lock` cambia `constraints.txt`; esta imagen se construye sin él, y debe ir a la par."""
    pins = {line for line in (FOLDER / "requirements.txt").read_text().splitlines() if not line.startswith("#")}
    course = {line.partition(" ;")[0] for line in (ROOT / "constraints.txt").read_text().splitlines()}
    assert {"flask", "gunicorn"} <= {pin.partition("==")[0] for pin in pins}
    assert not pins - course
