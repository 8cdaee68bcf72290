"""El informe es un solo archivo, completo y legible, o no se toca el anterior."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from PIL import Image
from pydantic import ValidationError

from shared.errors import DataError, ToolError
from shared.report import Command, Figure, Report, Table, read_report, render_html, write_report
from shared.stage import Stage

PIECE = Report(
    title="Clase de prueba",
    lines=["F1 <0.9> & «comillas»"],
    tables=[Table(title="Tabla", columns=["a", "b"], rows=[["x", 1], ["y", 2.5]])],
    figures=[Figure(path="figuras/punto.png", caption="Un punto", alt="Un punto rojo")],
    commands=[Command(command="python programa.py", seconds=1.25)],
    seconds=2.0,
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "figuras").mkdir()
    Image.new("RGB", (1, 1), "red").save(tmp_path / "figuras" / "punto.png")
    return tmp_path


def test_a_piece_comes_back_from_disk_as_it_was(folder: Path):
    write_report(PIECE, folder)
    assert read_report(folder) == PIECE
    assert sorted(path.name for path in folder.iterdir()) == ["figuras", "informe.json"]


def test_a_missing_or_foreign_piece_is_explained(folder: Path):
    with pytest.raises(DataError, match=r"informe\.json.*labs run"):
        read_report(folder)
    for content in ("{", '{"title": "sin segundos"}', '{"title": "x", "seconds": 1, "sobra": 2}'):
        (folder / "informe.json").write_text(content, encoding="utf-8")
        with pytest.raises(DataError, match="No puedo leer"):
            read_report(folder)


def test_figures_stay_inside_the_folder_of_their_piece():
    for path in ("/etc/passwd", "../otra/figura.png"):
        with pytest.raises(ValidationError, match="relativa"):
            Figure(path=path, caption="", alt="")


def test_the_html_needs_no_other_file_and_escapes_what_it_shows(folder: Path, tmp_path: Path):
    html = render_html([(PIECE, folder), (PIECE, folder)], tmp_path / "salida" / "informe.html").read_text(
        encoding="utf-8"
    )
    assert "F1 &lt;0.9&gt; &amp; «comillas»" in html
    assert html.count('src="data:image/png;base64,') == 2
    assert not re.search(r'(?:src|href)="(?!data:|#)', html)
    assert 'alt="Un punto rojo"' in html
    assert "2 clases en 4 s" in html


def test_a_missing_figure_leaves_the_previous_html_whole(folder: Path, tmp_path: Path):
    target = tmp_path / "informe.html"
    render_html([(PIECE, folder)], target)
    before = target.read_bytes()
    (folder / "figuras" / "punto.png").unlink()
    with pytest.raises(FileNotFoundError):
        render_html([(PIECE, folder)], target)
    assert target.read_bytes() == before


def test_a_stage_writes_its_piece_only_when_everything_ran(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    stage = Stage("Etapa", tmp_path)
    stage.run("sh", "-c", "echo hecho $PALABRA", env={"PALABRA": "ya"})
    with pytest.raises(ToolError):
        stage.run("false")
    assert not (tmp_path / "informe.json").exists()
    stage.finish(lines=["todo bien"])
    report = read_report(tmp_path)
    assert [command.command for command in report.commands] == ["sh -c 'echo hecho $PALABRA'"]
    assert report.lines == ["todo bien"]
    assert "hecho ya" in capfd.readouterr().out
