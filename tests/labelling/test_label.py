"""task=label: the dialogue key by key, and the command in a pseudo-terminal."""

import csv
import io
import os
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from alupdate.config.compose import compose_config
from alupdate.labelling import terminal
from alupdate.labelling.campaign import locked_folder, open_campaign, read_labels
from alupdate.labelling.label import Dialogue
from alupdate.labelling.session import Session
from alupdate.labelling.terminal import END_OF_INPUT, TerminalKeys, Viewer, readable_text
from alupdate.utils.display import Display
from alupdate.utils.errors import InputError
from tests.support.runs import run_command
from tests.support.terminal import Conversation

QUIET = Display(enabled=False)
SMALL = ["task=label", "n_initial=4", "batch.size=3", "training.epochs=10", "progress=false"]


class Script:
    """A person who types what a script says, and then quits."""

    def __init__(self, *answers):
        self.answers, self.shown, self.lines = list(answers), [], []

    def key(self):
        return self.answers.pop(0) if self.answers else "q"

    def line(self, question):
        self.lines.append(question)
        return self.answers.pop(0)

    def show(self, text):
        self.shown.append(text)


@pytest.fixture
def vectors(tmp_path, monkeypatch):
    """Two clear classes: rows with even numbers, and rows with odd ones."""
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(40, 3)) + 4 * (np.arange(40) % 2)[:, None]
    np.savez(tmp_path / "pool.npz", X_train=rows)
    monkeypatch.chdir(tmp_path)
    return ["dataset=npz", "dataset.path=pool.npz", "backbone=identity"]


def talk(arguments, *answers, viewer="none", folder=None, person=Script):
    """Run a dialogue and return it, with the rows of the labels file."""
    config = compose_config([*SMALL, *arguments])
    keys = person(*answers)
    with locked_folder(config) as campaign:
        data, labels_file = read_labels(config, campaign, QUIET)
        session = Session(open_campaign(config, campaign, data, labels_file, QUIET), QUIET)
        Dialogue(session, keys, Viewer(viewer), folder or campaign).run()
    text = labels_file.read_text() if labels_file.exists() else ""
    return keys, session, list(csv.DictReader(io.StringIO(text)))


def test_keys_label_skip_and_undo(vectors):
    declared = [*vectors, "dataset.classes=[even,odd]"]
    keys, session, rows = talk(declared, "1", "s", "d", "u", "2")
    assert [(row["label"], row["status"]) for row in rows] == [
        ("even", ""), ("", "skipped"), ("", "unknown"), ("", "removed"), ("odd", ""),
    ]  # fmt: skip
    assert rows[2]["instance"] == rows[3]["instance"] == rows[4]["instance"]
    assert session.n_skipped == 1
    assert len(session.pool.indices) == 2
    assert any(line.startswith("taken back: ") for line in keys.shown)


def test_classes_grow_as_they_are_typed(vectors):
    keys, session, rows = talk(
        vectors, "/", "odd", "y", "/", "even", "n", "/", "even", "y", "/", "e", "y", "2", "q"
    )
    assert [row["label"] for row in rows] == ["odd", "even", "even", "odd"]
    assert session.campaign.data.classes == ("even", "odd")
    assert "no class is known yet: / types one" in keys.shown


def test_a_new_class_may_be_the_beginning_of_others(vectors):
    """Class 1 can be added where there are 10 and 11, and is not taken for one of them."""
    tens = ["/", "10", "y", "/", "1", "n", "y", "/", "11", "y", "/", "1"]
    keys, session, rows = talk(vectors, *tens, "/", "1", "q")
    assert [row["label"] for row in rows] == ["10", "1", "11", "1", "1"]
    assert keys.lines[:4] == ["class: ", "a new class 10? (y/n) ", "class: ", "10? (y/n) "]
    keys, session, rows = talk(
        [*vectors, "experiment_name=b"], *tens[:3], "/", "12", "y", "/", "1", "y"
    )
    assert [row["label"] for row in rows] == ["10", "12", "1"]
    assert session.campaign.data.classes == ("1", "10", "12")
    assert "2 classes: 10, 12" in keys.shown


def test_a_typed_class_that_was_not_declared_is_refused(vectors):
    keys, _, rows = talk([*vectors, "dataset.classes=[even,odd]"], "/", "evn", "/", "", "a", "?")
    assert rows == []
    assert "no such class; did you mean even? a: all classes" in keys.shown


def test_the_model_learns_before_the_next_question(vectors):
    """After the first labels, the right class is the first key, nearly always."""
    declared = [*vectors, "dataset.classes=[even,odd]", "strategy=random", "batch=sequential"]
    first = Script()
    config = compose_config([*SMALL[:3], *declared, "training=lbfgs"])
    with locked_folder(config) as campaign:
        data, labels_file = read_labels(config, campaign, QUIET)
        session = Session(open_campaign(config, campaign, data, labels_file, QUIET), QUIET)
        dialogue, right = Dialogue(session, first, Viewer("none"), campaign), 0
        for asked in range(30):
            index = session.current
            assert index is not None
            truth = ("even", "odd")[index % 2]
            ranked = dialogue.ranked()
            right += asked >= 18 and ranked[0][0] == truth
            session.label(truth)
    assert right >= 11


class Expert(Script):
    """A person who knows the class of every instance, and asks how good the model is."""

    def line(self, _question):
        (name, *_) = [text.split()[0] for text in self.shown if " labelled, " in text][-1:]
        return ("even", "odd")[int(name) % 2]


def test_what_to_expect_is_said_on_demand(vectors):
    trained = ["strategy=random", "training.learning_rate=1"]
    declared = [*vectors, "dataset.classes=[even,odd]", *trained]
    keys, session, _ = talk(declared, *(["e", "/"] * 16), "e", person=Expert)
    said = [text for text in keys.shown if text.startswith("expected accuracy")]
    assert said[:4] == ["expected accuracy: there are too few labels for a model"] * 4
    assert said[-1].startswith(session.forecaster.forecast(session.pool).in_words())
    assert "more labels" not in said[-1]  # there are fewer than 50 instances
    assert "\n90 % intervals; no random instances were set aside" in said[-1]


def test_a_pool_that_is_exhausted_ends(vectors):
    keys, session, rows = talk([*vectors, "dataset.classes=[even,odd]"], *(["1", "2"] * 20))
    assert len(rows) == len({row["instance"] for row in rows}) == 40
    assert session.current is None
    assert keys.shown[-1] == "every instance is labelled or skipped"


def test_a_session_goes_on_where_the_labels_file_ends(vectors):
    """The next question follows from the file alone, within a batch, too."""
    declared = [*vectors, "dataset.classes=[even,odd]", "strategy=badge", "batch=sequential"]
    once, _, _ = talk([*declared, "experiment_name=once"], *(["1", "2"] * 7))
    for key in ["1", "2"] * 7:
        again, _, _ = talk([*declared, "experiment_name=again"], key)
    asked = [line.split()[0] for line in once.shown if " labelled, " in line]
    assert [line.split()[0] for line in again.shown if " labelled, " in line][-1] == asked[-1]
    texts = [next(iter_labels(name)).read_text() for name in ("once", "again")]
    assert texts[0] == texts[1]


def iter_labels(name):
    return Path("results", name).glob("*/labels.csv")


def test_images_are_opened_and_texts_are_printed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    for i in range(6):
        Image.new("RGB", (20, 20), (40 * i, 0, 0)).save(tmp_path / "photos" / f"{i}.png")
    opened = []
    monkeypatch.setattr(Viewer, "show", lambda self, path: opened.append(path) or True)
    images = ["dataset=imagefolder", "dataset.path=photos", "backbone=pixels"]
    talk([*images, "dataset.classes=[a,b]"], "1", "2")
    assert len(opened) == 3
    assert all(path.parent.name == "photos" and path.is_file() for path in opened)
    assert readable_text("two\nlines\x1b[31m") == "two\nlines\\x1b[31m"


def test_viewers(monkeypatch, tmp_path):
    with pytest.raises(InputError, match=r"^task\.viewer=nonesuch: there is no such program; use"):
        Viewer("nonesuch")
    assert not Viewer("none").show(tmp_path)
    started = []
    monkeypatch.setattr(terminal.subprocess, "Popen", lambda line, **_: started.append(line))
    assert Viewer("true").show(tmp_path / "-rf.png")
    assert started[0][1] == str(tmp_path / "-rf.png")


def test_signals_are_looked_for_while_a_key_is_waited_for(monkeypatch):
    """As Python sees one that comes just before a wait only after it."""
    reading, writing = os.pipe()
    os.close(writing)  # a wait without looks would end with what this gives

    def interrupted(_readers, _writers, _errors, seconds):
        assert seconds <= 1
        looks.append(seconds)
        if len(looks) == 3:
            raise KeyboardInterrupt
        return [], [], []

    looks = []
    monkeypatch.setattr(terminal.select, "select", interrupted)
    with os.fdopen(reading) as stream:
        monkeypatch.setattr(terminal.sys, "stdin", stream)
        with pytest.raises(KeyboardInterrupt):
            TerminalKeys().key()


def test_without_a_terminal_there_is_one_line(vectors, monkeypatch, tmp_path, capsys):
    assert run_command(monkeypatch, tmp_path, *SMALL, *vectors) == 2
    line = "task=label: needs a terminal; task=suggest writes batches to files instead"
    assert line in capsys.readouterr().err


def ready(shown):
    return re.search(r"labelled, \d+ skipped of[^\n]*\n[^\n]+\n1 \w+[^\n]*\n$", shown)


def test_in_a_pseudo_terminal(vectors, tmp_path):
    """Every answer is on disk before the next question; after kill -9 and Ctrl-C, all are there."""
    arguments = [*SMALL, *vectors, "dataset.classes=[even,odd]", "dataset.labels=labels.csv"]
    count = 0
    for end in ("kill", "interrupt"):
        command = Conversation(tmp_path, *arguments)
        for _ in range(3):
            assert command.wait(ready), command.everything
            lines = (tmp_path / "labels.csv").read_text().splitlines() if count else []
            assert len(lines) == (count + 1 if count else 0)
            command.answer("\x1b[A1")  # an arrow key is no answer
            count += 1
        assert command.wait(ready), command.everything
        if end == "kill":
            command.kill()
        else:
            command.interrupt()
            assert command.end() == 130
            assert "interrupted" in command.everything
        rows = list(csv.DictReader(io.StringIO((tmp_path / "labels.csv").read_text())))
        assert len(rows) == len({row["instance"] for row in rows}) == count
    assert list(tmp_path.glob("results/default/*/model.safetensors"))


def test_the_end_of_input_ends_the_session(vectors):
    _, _, rows = talk([*vectors, "dataset.classes=[even,odd]"], "1", END_OF_INPUT, "2")
    assert len(rows) == 1
