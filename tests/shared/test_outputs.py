"""Los resultados se sustituyen enteros o no se tocan."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from shared.errors import DataError, LabError
from shared.outputs import read_json, refuse_other_run, replace_folder, sha256_of, write_json


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_new_folder_replaces_the_old_one_whole(tmp_path: Path):
    for name in ("viejo.txt", "nuevo.txt"):
        with replace_folder(tmp_path / "datos") as staging:
            (staging / name).write_text(name, encoding="utf-8")
    assert (tmp_path / "datos" / "nuevo.txt").read_text(encoding="utf-8") == "nuevo.txt"
    assert names(tmp_path) == ["datos"]


def test_what_someone_else_put_in_the_folder_is_kept(tmp_path: Path):
    for content in ("primera", "segunda"):
        with replace_folder(tmp_path / "datos") as staging:
            (staging / "tabla.csv").write_text(content, encoding="utf-8")
        (tmp_path / "datos" / "notas.txt").write_text("mías", encoding="utf-8")
    assert names(tmp_path / "datos") == ["notas.txt", "tabla.csv"]
    assert (tmp_path / "datos" / "tabla.csv").read_text(encoding="utf-8") == "segunda"


def test_a_link_to_another_disk_stays_a_link(tmp_path: Path):
    (tmp_path / "disco").mkdir()
    (tmp_path / "datos").symlink_to(tmp_path / "disco")
    for content in ("primera", "segunda"):
        with replace_folder(tmp_path / "datos") as staging:
            (staging / "tabla.csv").write_text(content, encoding="utf-8")
    assert (tmp_path / "datos").is_symlink()
    assert (tmp_path / "disco" / "tabla.csv").read_text(encoding="utf-8") == "segunda"
    assert names(tmp_path) == ["datos", "disco"]


@pytest.mark.parametrize("renames", [1, 2])
def test_a_change_killed_half_way_is_finished_by_the_next_run(tmp_path: Path, renames: int):
    """Un `kill -9` tras el primer o el segundo cambio de nombre: ni los datos ni las notas se pierden."""
    with replace_folder(tmp_path / "datos") as staging:
        (staging / "tabla.csv").write_text("vieja", encoding="utf-8")
        (staging / "notas.txt").write_text("mías", encoding="utf-8")
    program = (
        "import os, pathlib, sys; from shared import outputs\n"
        "done, rename = [], pathlib.Path.rename\n"
        "def fatal(self, target):\n"
        "    rename(self, target); done.append(target)\n"
        "    if len(done) == int(sys.argv[2]): os.kill(os.getpid(), 9)\n"
        "pathlib.Path.rename = fatal\n"
        "with outputs.replace_folder(pathlib.Path(sys.argv[1])) as staging:\n"
        "    (staging / 'tabla.csv').write_text('nueva')\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "datos"), str(renames)]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    with pytest.raises(ZeroDivisionError), replace_folder(tmp_path / "datos"):
        _ = 1 / 0
    expected = "vieja" if renames == 1 else "nueva"
    assert (tmp_path / "datos" / "tabla.csv").read_text(encoding="utf-8") == expected
    assert (tmp_path / "datos" / "notas.txt").read_text(encoding="utf-8") == "mías"


def test_a_failure_leaves_the_previous_folder_untouched(tmp_path: Path):
    with replace_folder(tmp_path / "datos") as staging:
        (staging / "viejo.txt").write_text("viejo", encoding="utf-8")
    with pytest.raises(ZeroDivisionError), replace_folder(tmp_path / "datos") as staging:
        (staging / "a-medias.txt").write_text("nuevo", encoding="utf-8")
        _ = 1 / 0
    assert names(tmp_path / "datos") == ["viejo.txt"]
    assert names(tmp_path) == ["datos"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_program_leaves_no_half_written_folder(tmp_path: Path, number: signal.Signals):
    program = (
        "import pathlib, sys, time; from shared.commands import exit_on_sigterm; "
        "from shared.outputs import replace_folder; exit_on_sigterm()\n"
        "with replace_folder(pathlib.Path(sys.argv[1])) as staging:\n"
        "    (staging / 'a-medias.txt').write_text('x'); print('listo', flush=True); time.sleep(60)\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "datos")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "listo\n"
        process.send_signal(number)
        assert process.wait(10) != 0
    assert names(tmp_path) == []


def test_a_file_in_the_way_is_explained(tmp_path: Path):
    (tmp_path / "archivo").write_text("", encoding="utf-8")
    with pytest.raises(LabError, match=r"No puedo escribir.*--output"), replace_folder(tmp_path / "archivo" / "datos"):
        pass
    with pytest.raises(LabError, match="hay un archivo, no una carpeta"), replace_folder(tmp_path / "archivo"):
        pass
    assert names(tmp_path) == ["archivo"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="solo Linux tiene /dev/full")
def test_a_full_disk_is_explained_and_keeps_the_previous_folder(tmp_path: Path):
    with replace_folder(tmp_path / "datos") as staging:
        (staging / "viejo.txt").write_text("viejo", encoding="utf-8")
    with pytest.raises(LabError, match=r"No puedo escribir.*No space left"), replace_folder(tmp_path / "datos"):
        Path("/dev/full").write_bytes(b"x" * 100_000)
    assert names(tmp_path / "datos") == ["viejo.txt"]


def test_an_error_of_the_network_is_not_called_one_of_the_disk(tmp_path: Path):
    # requests.RequestException deriva de OSError, sin número de error.
    with pytest.raises(OSError, match="el servidor no responde"), replace_folder(tmp_path / "datos"):
        raise OSError("el servidor no responde")
    assert names(tmp_path) == []


def test_repeating_the_same_run_is_allowed_and_another_is_not(tmp_path: Path):
    folder = tmp_path / "datos"
    refuse_other_run(folder, "etl.json", {"seed": 1}, force=False)
    folder.mkdir()
    refuse_other_run(folder, "etl.json", {"seed": 1}, force=False)
    write_json(folder / "etl.json", {"parameters": {"seed": 1}})
    refuse_other_run(folder, "etl.json", {"seed": 1}, force=False)
    with pytest.raises(LabError, match=r"otra ejecución.*seed: 1 → 2.*--force"):
        refuse_other_run(folder, "etl.json", {"seed": 2}, force=False)
    refuse_other_run(folder, "etl.json", {"seed": 2}, force=True)


def test_a_folder_of_something_else_is_not_taken(tmp_path: Path):
    (tmp_path / "tesis.docx").write_text("", encoding="utf-8")
    for force in (False, True):
        with pytest.raises(LabError, match=r"no es de este paso\. Elija otra carpeta con `--output`\.$"):
            refuse_other_run(tmp_path, "etl.json", {"seed": 1}, force=force)


def test_only_what_changed_is_said(tmp_path: Path):
    before = {"train": "0" * 64, "model": {"folds": 5, "grid": [{"C": [1, 10]}]}}
    after = {"train": "f" * 64, "model": {"folds": 3, "grid": [{"C": [1, 10]}]}}
    write_json(tmp_path / "etl.json", {"parameters": before})
    with pytest.raises(LabError) as caught:
        refuse_other_run(tmp_path, "etl.json", after, force=False)
    assert caught.value.why == "Cambió train: '00000000000… → 'fffffffffff…; model.folds: 5 → 3."


def test_a_record_without_a_value_is_not_written(tmp_path: Path):
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(tmp_path / "registro.json", {"f1": float("nan")})
    assert not (tmp_path / "registro.json").exists()


def test_records_keep_their_accents_and_bad_ones_are_explained(tmp_path: Path):
    path = tmp_path / "registro.json"
    write_json(path, {"título": "señal"})
    assert '"título": "señal"' in path.read_text(encoding="utf-8")
    assert read_json(path, next_step="") == {"título": "señal"}
    for content in (b"[1, 2]", b'{"a": ', b"\xff\xfe"):
        path.write_bytes(content)
        with pytest.raises(DataError, match="Repita el paso"):
            read_json(path, next_step="Repita el paso.")
    with pytest.raises(DataError, match="No encuentro"):
        read_json(tmp_path / "nada.json", next_step="")


def test_fingerprint_is_the_published_sha256_of_the_empty_file(tmp_path: Path):
    (tmp_path / "vacío").touch()
    # FIPS 180-4: SHA-256 del mensaje vacío.
    assert sha256_of(tmp_path / "vacío") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def test_the_old_folder_stays_in_place_until_the_new_one_is_complete(tmp_path: Path):
    with replace_folder(tmp_path / "datos") as staging:
        (staging / "viejo.txt").touch()
    with replace_folder(tmp_path / "datos") as staging:
        (staging / "nuevo.txt").touch()
        assert names(tmp_path / "datos") == ["viejo.txt"]
    assert "nuevo.txt" in names(tmp_path / "datos")
