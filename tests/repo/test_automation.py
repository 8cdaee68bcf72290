"""La integración continua, pre-commit y el entorno de desarrollo dicen lo que deben."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from shared import ROOT

WORKFLOW = ROOT / ".github" / "workflows" / "ci.yml"
PRE_COMMIT = ROOT / ".pre-commit-config.yaml"
CI = ROOT / ".ci" / "run"
PROGRAMS = [CI, ROOT / "labs"]


def hooks() -> dict[str, dict[str, Any]]:
    """Comprobaciones de pre-commit, por nombre."""
    repositories = yaml.safe_load(PRE_COMMIT.read_text(encoding="utf-8"))["repos"]
    assert {repository["repo"] for repository in repositories} == {"local"}, "lo demás se baja de internet"
    return {hook["id"]: hook for repository in repositories for hook in repository["hooks"]}


def test_workflow_follows_its_schema():
    subprocess.run(["check-jsonschema", "--builtin-schema", "vendor.github-workflows", WORKFLOW], check=True)


def test_workflow_tests_every_module():
    jobs = yaml.safe_load(WORKFLOW.read_text(encoding="utf-8"))["jobs"]
    folders = {path.parent.name for path in (ROOT / "tests").glob("*/test_*.py")}
    assert set(jobs["module"]["strategy"]["matrix"]["module"]) == folders


def test_workflow_pins_its_actions_and_machines():
    text = WORKFLOW.read_text(encoding="utf-8")
    assert all(re.fullmatch(r"[\w/-]+@v\d+", action) for action in re.findall(r"uses: (\S+)", text))
    assert "-latest" not in text


def test_pre_commit_configuration_is_valid():
    subprocess.run(["pre-commit", "validate-config", PRE_COMMIT], check=True)


def test_ci_runs_the_same_checks_as_pre_commit():
    assert set(hooks()) >= {"ruff-check", "ruff-format", "mypy", "nbstripout", "detect-secrets"}
    assert "pre-commit run --all-files" in CI.read_text(encoding="utf-8")


def test_secrets_scan_finds_a_planted_key(tmp_path: Path):
    planted = tmp_path / "settings.py"
    planted.write_text('AWS_SECRET = "' + "wJalrXUtnFEMI" + '/K7MDENG/bPxRfiCYEXAMPLEKEY"\n', encoding="utf-8")
    command = [*hooks()["detect-secrets"]["entry"].split(), planted]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert "settings.py:1" in result.stdout


def test_dev_container_has_python_and_docker():
    # JSON con comentarios de línea, como lo escribe VS Code.
    text = (ROOT / ".devcontainer" / "devcontainer.json").read_text(encoding="utf-8")
    container = json.loads(re.sub(r"(?m)^\s*//.*$", "", text))
    assert re.fullmatch(r"mcr\.microsoft\.com/devcontainers/python:3\.12-\w+", container["image"])
    assert "ghcr.io/devcontainers/features/docker-in-docker:2" in container["features"]
    assert container["postCreateCommand"].startswith("./labs ")


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.name)
def test_programs_can_be_executed(path: Path):
    assert path.stat().st_mode & 0o111 == 0o111


@pytest.mark.shellcheck
def test_programs_pass_shellcheck():
    result = subprocess.run(["shellcheck", *PROGRAMS], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout
