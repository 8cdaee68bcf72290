"""`./labs` prepara el entorno en un clon nuevo y, cuando no puede, dice por qué y no deja nada a medias."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.repository import clean_copy

# Lo que usa un guion de sh: el resto del PATH se elige en cada prueba.
SHELL_TOOLS = (
    "awk",
    "cat",
    "chmod",
    "cksum",
    "df",
    "dirname",
    "head",
    "mkdir",
    "mktemp",
    "mv",
    "ps",
    "readlink",
    "rm",
    "sed",
    "sh",
    "sleep",
)
UNREACHABLE = "http://127.0.0.1:9/simple"


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Carpeta con las órdenes de sh y nada más: ni Python, ni uv."""
    folder = tmp_path_factory.mktemp("bin")
    for name in SHELL_TOOLS:
        found = shutil.which(name)
        assert found, name
        (folder / name).symlink_to(found)
    return folder


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """Clon nuevo, en una ruta con espacios."""
    return clean_copy(tmp_path / "mis cursos" / "labs de mlops")


def script(path: Path, content: str) -> Path:
    path.write_text(f"#!/bin/sh\n{content}\n", encoding="utf-8")
    path.chmod(0o755)
    return path


def environment(*folders: Path, **variables: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("LABS_", "UV_", "VIRTUAL_ENV"))}
    return {**kept, "PATH": os.pathsep.join(map(str, folders)), **variables}


def labs(
    clone: Path, *arguments: str, env: dict[str, str], cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [clone / "labs", *arguments],
        env=env,
        cwd=cwd or clone,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def real_python(folder: Path) -> Path:
    """Pone en una carpeta el Python con que se creó este entorno, que no tiene las dependencias."""
    folder.mkdir(exist_ok=True)
    return script(folder / "python3", f'exec "{Path(sys.base_prefix) / "bin" / "python3"}" "$@"')


def assert_nothing_left(clone: Path) -> None:
    assert not (clone / ".venv").exists()
    assert not (clone / ".labs-instalando").exists()


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory, tools: Path) -> Iterator[tuple[Path, dict[str, str]]]:
    """Clon instalado de verdad con pip, sin uv, por dos `./labs` que empiezan a la vez."""
    folder = tmp_path_factory.mktemp("clon")
    clone = clean_copy(folder / "mis cursos" / "labs de mlops")
    real_python(folder / "python")
    env = environment(tools, folder / "python")
    first = subprocess.Popen(
        [clone / "labs", "list"], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    second = subprocess.Popen(
        [clone / "labs", "list"], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    outputs = [process.communicate(timeout=300) for process in (first, second)]
    assert [first.returncode, second.returncode] == [0, 0], outputs
    assert all("clase1" in output for output, _ in outputs)
    assert sum("Creando el entorno" in errors for _, errors in outputs) == 1
    yield clone, env


@pytest.mark.index
def test_a_new_clone_installs_itself_once_and_only_the_base(installed: tuple[Path, dict[str, str]]):
    clone, env = installed
    again = labs(clone, "list", env=env)
    assert again.returncode == 0
    assert again.stderr == ""
    assert "no" in again.stdout.splitlines()[1].split()
    assert not (clone / ".labs-instalando").exists()


@pytest.mark.index
def test_it_works_from_any_folder_and_through_a_link(installed: tuple[Path, dict[str, str]], tmp_path: Path):
    clone, env = installed
    link = tmp_path / "mi orden"
    link.symlink_to(clone / "labs")
    result = subprocess.run([link, "list"], env=env, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "clase1" in result.stdout
    assert list(tmp_path.iterdir()) == [link]


@pytest.mark.index
def test_modules_of_the_folder_it_is_called_from_are_not_used(installed: tuple[Path, dict[str, str]], tmp_path: Path):
    clone, env = installed
    for name in ("random.py", "shared/__init__.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("raise RuntimeError('este módulo no es el del curso')\n", encoding="utf-8")
    result = labs(clone, "list", env=env, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "clase1" in result.stdout


@pytest.mark.index
def test_a_moved_clone_is_installed_again(installed: tuple[Path, dict[str, str]], tmp_path: Path):
    clone, env = installed
    moved = tmp_path / "otra carpeta"
    shutil.copytree(clone, moved, symlinks=True)
    result = labs(moved, "list", env={**env, "PIP_INDEX_URL": UNREACHABLE, "PIP_EXTRA_INDEX_URL": UNREACHABLE})
    assert "Creando el entorno" in result.stderr
    assert_nothing_left(moved)


@pytest.mark.index
def test_after_an_update_it_installs_in_place(installed: tuple[Path, dict[str, str]]):
    clone, env = installed
    constraints = clone / "constraints.txt"
    before = constraints.read_text(encoding="utf-8")
    constraints.write_text(before + "# una línea más\n", encoding="utf-8")
    result = labs(clone, "list", env=env)
    assert result.returncode == 0
    assert "Instalando ." in result.stderr
    assert "Creando" not in result.stderr
    assert labs(clone, "list", env=env).stderr == ""


def test_an_unfinished_environment_is_not_trusted(clone: Path, tools: Path, tmp_path: Path):
    (clone / ".venv" / "bin").mkdir(parents=True)
    (clone / ".venv" / ".labs-a-medias").touch()
    script(clone / ".venv" / "bin" / "python", "echo 3.12")
    script(tmp_path / "python3", "echo 3.8")
    result = labs(clone, "list", env=environment(tools, tmp_path))
    assert result.returncode == 1
    assert "No encuentro un Python entre 3.10 y 3.13" in result.stderr


def test_only_old_or_broken_pythons_are_named(clone: Path, tools: Path, tmp_path: Path):
    script(tmp_path / "python3", "echo 3.8")
    script(tmp_path / "python", "echo 2.7")
    script(tmp_path / "python3.12", "echo 'pyenv: version not installed' >&2; exit 127")
    result = labs(clone, "list", env=environment(tools, tmp_path))
    assert result.returncode == 1
    assert "python3 es 3.8; python es 2.7;" in result.stderr
    assert "LABS_PYTHON" in result.stderr
    assert_nothing_left(clone)


def test_no_python_at_all(clone: Path, tools: Path):
    result = labs(clone, "demo", env=environment(tools))
    assert result.returncode == 1
    assert "No encuentro un Python" in result.stderr
    assert "sudo apt install python3 python3-venv" in result.stderr
    assert_nothing_left(clone)


def test_a_python_too_new_is_refused_and_labs_python_chooses_another(clone: Path, tools: Path, tmp_path: Path):
    script(tmp_path / "python3", "echo 3.14")
    result = labs(clone, "list", env=environment(tools, tmp_path))
    assert "python3 es 3.14" in result.stderr
    chosen = script(tmp_path / "mi python", "echo 3.9")
    result = labs(clone, "list", env=environment(tools, tmp_path, LABS_PYTHON=str(chosen)))
    assert result.returncode == 1
    assert f"{chosen} es 3.9" in result.stderr


def test_a_missing_venv_module_says_which_package_brings_it(clone: Path, tools: Path, tmp_path: Path):
    script(tmp_path / "python3", 'case "$*" in *ensurepip*) exit 1 ;; *) echo 3.12 ;; esac')
    result = labs(clone, "list", env=environment(tools, tmp_path))
    assert result.returncode == 1
    assert "le falta el módulo venv" in result.stderr
    assert "sudo apt install python3.12-venv" in result.stderr
    assert_nothing_left(clone)


def test_without_network_it_says_so_and_leaves_nothing(clone: Path, tools: Path, tmp_path: Path):
    real_python(tmp_path / "python")
    nowhere = {name: UNREACHABLE for name in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL")}
    env = environment(tools, tmp_path / "python", **nowhere, PIP_RETRIES="0", PIP_FIND_LINKS="", PIP_NO_CACHE_DIR="1")
    result = labs(clone, "list", env=env)
    assert result.returncode == 1
    assert "el índice de paquetes de Python no contesta" in result.stderr
    assert "HTTPS_PROXY" in result.stderr
    assert_nothing_left(clone)


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="montar un disco diminuto pide Linux y root")
def test_a_full_disk_is_explained_and_leaves_nothing(clone: Path, tools: Path, tmp_path: Path):
    real_python(tmp_path / "python")
    disk = tmp_path / "disco"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=60m", "tmpfs", disk], check=True)
    try:
        small = disk / "labs"
        shutil.copytree(clone, small)
        result = labs(small, "list", env=environment(tools, tmp_path / "python"))
        assert result.returncode == 1
        assert "el disco está lleno" in result.stderr
        assert "MiB libres" in result.stderr
        assert_nothing_left(small)
    finally:
        subprocess.run(["umount", disk], check=True)


@pytest.mark.index
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_installation_leaves_nothing(clone: Path, tools: Path, tmp_path: Path, number: signal.Signals):
    real_python(tmp_path / "python")
    process = subprocess.Popen(
        [clone / "labs", "list"],
        env=environment(tools, tmp_path / "python"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stderr is not None
    while "Instalando" not in process.stderr.readline():
        assert process.poll() is None
    time.sleep(0.5)
    os.killpg(process.pid, number)
    assert process.wait(30) in {128 + number, 1}
    process.stderr.close()
    assert_nothing_left(clone)
    assert not any(str(clone) in " ".join(other.info["cmdline"] or []) for other in psutil.process_iter(["cmdline"]))


@pytest.mark.parametrize("reused", [False, True], ids=["muerto", "con el número de otro"])
def test_the_lock_of_a_dead_process_does_not_block(clone: Path, tools: Path, tmp_path: Path, reused: bool):
    script(tmp_path / "python3", "echo 3.8")
    (clone / ".labs-instalando").mkdir()
    with subprocess.Popen(["true"]) as dead:
        dead.wait()
    # Tras un corte de luz, el número puede ser ahora de otro proceso, que empezó en otro momento.
    owner = f"{os.getpid() if reused else dead.pid}\nMon Jan  1 00:00:00 2024\n"
    (clone / ".labs-instalando" / "propietario").write_text(owner, encoding="utf-8")
    result = labs(clone, "list", env=environment(tools, tmp_path))
    assert "No encuentro un Python" in result.stderr
    assert_nothing_left(clone)


@pytest.mark.shellcheck
def test_the_starter_is_portable_shell():
    result = subprocess.run(["shellcheck", "labs"], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout
