"""`constraints.txt` es lo que `labs lock` escribe hoy, y un intento fallido no lo toca."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.repository import clean_copy


def lock(clone: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(clone), **variables}
    program = "from shared.install import write_constraints; write_constraints(upgrade=False)"
    command = [
        sys.executable,
        "-c",
        f"from shared.commands import run_script\ndef main():\n    {program}\nrun_script(main)",
    ]
    return subprocess.run(command, cwd=clone, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.index
def test_the_pins_are_those_of_the_declared_dependencies(tmp_path: Path):
    clone = clean_copy(tmp_path / "clon")
    before = (clone / "constraints.txt").read_text(encoding="utf-8")
    result = lock(clone)
    assert result.returncode == 0, result.stderr
    assert (clone / "constraints.txt").read_text(encoding="utf-8") == before
    assert "labs lock" in before.splitlines()[1]


def test_a_failed_lock_leaves_the_pins_as_they_were(tmp_path: Path):
    clone = clean_copy(tmp_path / "clon")
    before = (clone / "constraints.txt").read_bytes()
    result = lock(clone, UV_OFFLINE="1", UV_CACHE_DIR=str(tmp_path / "caché vacía"))
    assert result.returncode != 0
    assert "La orden terminó con código" in result.stderr
    assert (clone / "constraints.txt").read_bytes() == before
    assert not (clone / "constraints.tmp").exists()
