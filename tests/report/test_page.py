import base64
import errno
import hashlib
import itertools
import json
import os
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from alupdate.report.page import page
from alupdate.results.reader import read_results
from alupdate.utils import files
from tests.support.experiments import write_run, write_study
from tests.support.scripts import load

ROOT = Path(__file__).parents[2]
ATTACK = "</script><script>alert(1)</script>"


class Outline(HTMLParser):
    """What a page is made of: elements with their attributes, and its text."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.texts, self.open = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag in ("script", "style"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        if self.open and tag == self.open[-1]:
            self.open.pop()

    def handle_data(self, data):
        if not self.open:
            self.texts.append(data)

    def all(self, *tags):
        return [attributes for tag, attributes in self.elements if tag in tags]

    @property
    def text(self):
        return " ".join("".join(self.texts).split())


def outline(folder):
    return Outline(page(read_results(folder)))


@pytest.fixture(scope="module")
def experiment(tmp_path_factory):
    """Runs of every kind and state, with labels and errors that try to become code."""
    folder = tmp_path_factory.mktemp("results") / "everything"
    for seed in range(3):
        write_run(folder, seed=seed, compare=True)
        write_run(folder, seed=seed, strategy={"name": "margin", "label": ATTACK})
        write_run(
            folder,
            seed=seed,
            strategy={"name": "lookahead"},
            oracle="strategy lookahead is an oracle: it sees labels not acquired yet",
        )
        write_study(folder, seed)
    write_run(folder, seed=8, state="failed", error=f"ValueError: {ATTACK}")
    damaged = write_run(folder, seed=9, strategy={"name": "margin", "label": ATTACK})
    (damaged / "curve.csv").write_text(f"run,<b>{ATTACK}\n1,2\n")
    return folder


@pytest.fixture(scope="module")
def text(experiment):
    return page(read_results(experiment))


def test_nothing_that_comes_from_runs_becomes_code(text):
    found = Outline(text)
    assert [attributes.get("type") for attributes in found.all("script")] == [
        "application/json",
        None,
    ]
    assert not found.all("b")
    assert found.text.count(ATTACK) >= 4  # settings, tables, error
    assert "alert(1)" in text.split('id="charts-data">')[1].split("</script>")[0]


def test_the_page_asks_for_nothing(text):
    found = Outline(text)
    for _, attributes in found.elements:
        for name in ("src", "href", "action", "data", "srcset", "poster"):
            target = attributes.get(name) or "#"
            assert target.startswith("#") or target == "data:,", target
    assert not re.findall(r"@import|url\(|fetch\(|XMLHttp|WebSocket", text.replace("url(#", "(#"))
    policy = found.all("meta")[1]["content"]
    assert policy.startswith("default-src 'none'")
    assert set(re.findall(r"https?://[^\"'\s<]+", text)) <= {"http://www.w3.org/2000/svg"}


def test_the_policy_allows_the_pages_own_script_only(text):
    script = text.rsplit("<script>", 1)[1].split("</script>")[0]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in Outline(text).all("meta")[1]["content"]


def test_headings_and_tables_are_for_everybody(text):
    found = Outline(text)
    levels = [int(tag[1]) for tag, _ in found.elements if re.fullmatch(r"h\d", tag)]
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    assert all(attributes.get("scope") for attributes in found.all("th"))
    assert len(found.all("caption")) == len(found.all("table"))
    identities = [a["id"] for _, a in found.elements if "id" in a]
    assert len(identities) == len(set(identities))
    linked = {a["href"][1:] for a in found.all("a")}
    assert linked <= set(identities)


def test_what_was_run_is_said(text):
    said = Outline(text).text
    for words in (
        "12 finished of 14",
        "strategy lookahead is an oracle: it sees labels not acquired yet.",
        "2 runs are missing from figures or tables",
        "ValueError:",
        "has no column dataset",
        "Learning curves",
        "Updates by number of new labels",
        "Gap to retraining closed by each update",
        "versions.torch",
        "git_revision",
        "training.solverrecipe",
    ):
        assert words in said, words


def test_a_single_run_makes_a_page(tmp_path):
    run = write_run(tmp_path / "one")
    assert "1 finished of 1" in outline(run).text


def test_runs_of_which_none_is_finished_make_a_page(tmp_path):
    write_run(tmp_path / "early", state="running")
    said = outline(tmp_path / "early").text
    assert "No run has finished yet" in said
    assert "0 finished of 1" in said


def test_a_gathered_file_makes_a_page_that_says_what_is_not_known(tmp_path):
    found = outline(ROOT / "results" / "reference" / "strategies-mnist5k.csv")
    assert "settings, versions, machine and state of the runs are not known here" in found.text
    assert "What was run" not in found.text
    assert "sees labels not acquired yet" in found.text


def test_the_data_of_charts_are_json(text):
    data = text.split('id="charts-data">')[1].split("</script>")[0]
    assert [chart["key"] for chart in json.loads(data)] == [
        "curves", "by-n-new", "by-n-initial", "by-gamma"
    ]  # fmt: skip
    assert len(text) < 500_000


@pytest.fixture(scope="module")
def command():
    return load("report").main


@pytest.fixture
def small(tmp_path):
    write_run(tmp_path / "small")
    return tmp_path / "small"


def test_the_command_writes_beside_the_runs(command, small, capsys):
    assert command([str(small)]) == 0
    assert capsys.readouterr().out.strip() == str(small / "report.html")
    assert (small / "report.html").read_text().startswith("<!DOCTYPE html>")


def refused(command, capsys, *arguments):
    assert command([str(argument) for argument in arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1
    return captured.err


def test_a_folder_without_runs_is_one_line(command, tmp_path, capsys):
    assert str(tmp_path) in refused(command, capsys, tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_target_that_cannot_be_written_is_one_line(command, small, tmp_path, capsys):
    said = refused(command, capsys, small, tmp_path / "nowhere" / "page.html")
    assert "No such file or directory" in said
    said = refused(command, capsys, small, tmp_path)
    assert "Is a directory" in said


def test_a_full_disk_leaves_the_old_page(command, small, capsys, monkeypatch):
    (small / "report.html").write_text("old")

    def full(_descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(files.os, "fsync", full)
    assert "No space left" in refused(command, capsys, small)
    assert (small / "report.html").read_text() == "old"
    assert not list(small.glob(".*"))


def test_runs_that_cannot_be_told_apart_are_one_line(command, small, tmp_path, capsys):
    gathered = tmp_path / "all.csv"
    curve = next(small.rglob("curve.csv")).read_text()
    body = curve.split("\n", 1)[1]
    gathered.write_text(curve + body.replace("digits-pixels", "other"))
    assert "differ only in settings" in refused(command, capsys, gathered)
    assert not (tmp_path / "all.html").exists()
