"""Labels that a file system, a spreadsheet or matplotlib takes for something else."""

import pandas as pd
import pytest
from matplotlib.figure import Figure

from alupdate.analysis.question import ResultFigure, ResultTable
from alupdate.analysis.render import csv, markdown, write_figure, write_table
from alupdate.analysis.theme import SCREEN, plain_text
from alupdate.utils.files import distinct_name, safe_name

FRAME = pd.DataFrame({"dataset": ["=1+1", "a"], "value": [-1.5, 2.0], "note": ["@x", None]})
ODD = ["ag/news", "../../x", "/etc/x", "a\\b", "C:x", "a\x00b", "x" * 400, "Ä" * 200, "a b"]


@pytest.mark.parametrize("name", ODD)
def test_files_stay_in_their_folder(tmp_path, name):
    folder = tmp_path / "a" / "b"
    folder.mkdir(parents=True)
    write_table(ResultTable(f"ranks-{name}", "title", "caption", FRAME), folder)
    write_figure(ResultFigure(f"curves-{name}", "", "", FRAME, Figure), folder, SCREEN)
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(written) == 6
    assert {path.parent for path in written} == {folder}


def test_two_labels_never_share_a_file():
    names = [*ODD, *map(safe_name, ODD), "x" * 401]
    assert len({distinct_name(name) for name in names}) == len(set(names))
    assert distinct_name("curves-mnist5k-resnet18_imagenet") == "curves-mnist5k-resnet18_imagenet"


def test_tables_do_not_steer_a_terminal():
    frame = pd.DataFrame({"dataset": ["a\x1b[31m\nb"], "value": [1.0]})
    text = markdown(ResultTable("t", "of a\x1b[31m", "of a\x1b[31m", frame))
    assert "\x1b" not in text
    assert r"| a\x1b[31m\nb | 1 |" in text


def test_no_text_is_a_formula_of_a_spreadsheet():
    assert csv(ResultTable("t", "", "", FRAME)) == "dataset,value,note\n'=1+1,-1.5,'@x\na,2,\n"


@pytest.mark.parametrize("name", ["Ba$$in", "$x", "$x$", "a$\\b$c", r"$\nosuch{$"])
def test_dollar_signs_are_drawn_as_they_are(tmp_path, name):
    figure = Figure()
    axes = figure.subplots()
    axes.plot([1, 2], [1, 1000], label=name)
    axes.set(title=name, yscale="log")
    axes.set_xticks([1, 2], [name, "b"])
    figure.legend()
    plain_text(figure).savefig(tmp_path / "x.png")
    texts = [axes.title, axes.get_xticklabels()[0], figure.legends[0].get_texts()[0]]
    assert [text.get_text() for text in texts] == [name] * 3
    assert not any(text.get_parse_math() for text in texts)
    assert all(text.get_parse_math() for text in axes.get_yticklabels())
