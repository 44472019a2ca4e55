"""The how-to page on labelling, its commands run in their order on small pools."""

import csv
import io
import json
import re
import shlex

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from tests.support.documents import ROOT, blocks
from tests.support.label_studio_exports import answered, exported
from tests.support.runs import run_command
from tests.support.terminal import Conversation

PAGE = ROOT / "docs" / "guide" / "labelling.md"
BLOCKS = blocks(PAGE.read_text())
COMMANDS = [c for b in BLOCKS if b.language == "bash" for c in b.commands]
QUESTIONS = {"card": "my card is lost, number", "transfer": "how do I send money abroad, case"}


def noise(colour, seed):
    rng = np.random.default_rng(seed)
    pixels = np.array(colour) + rng.integers(-60, 60, size=(48, 48, 3))
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Reddish cats, bluish dogs, and questions on two subjects."""
    path = tmp_path_factory.mktemp("guide")
    for name, count in (("photos", 30), ("scans", 20), ("more", 8)):
        (path / name).mkdir()
        for i in range(count):
            colour = (190, 70, 60) if i % 2 else (60, 70, 190)
            noise(colour, i).save(path / name / f"{i:02}.png")
    kinds = list(QUESTIONS)
    texts = [f"{QUESTIONS[kinds[i % 2]]} {i}" for i in range(20)]
    pd.DataFrame({"text": texts}).to_csv(path / "questions.csv", index=False)
    return path


def test_images_in_batches(folder, monkeypatch, capfd):
    first, with_answers, forecast, predict = (
        shlex.split(c)[3:]
        for c in COMMANDS
        if ("imagefolder" in c or "task=predict" in c) and "labelstudio" not in c
    )
    photos = folder / "results" / "default" / "labelling-photos"
    for asked in (8, 6):
        assert run_command(monkeypatch, folder, *first) == 0
        batch = photos / "batch.csv"
        rows = list(csv.DictReader(io.StringIO(batch.read_text())))
        assert len(rows) == asked
        for row in rows:
            row["label"] = "cat" if int(row["instance"][:2]) % 2 else "dog"
        pd.DataFrame(rows).to_csv(batch, index=False)
    (folder / "answers.csv").write_bytes(batch.read_bytes())
    assert run_command(monkeypatch, folder, *with_answers) == 0
    assert len((photos / "labels.csv").read_text().splitlines()) == 1 + 14
    assert (photos / "batch.html").read_text().count("data:image/jpeg") == 6
    assert " ".join(capfd.readouterr().err.split()).count("90 % intervals; no random") == 2
    assert run_command(monkeypatch, folder, *forecast) == 0
    assert "note: 95 % intervals; no random" in " ".join(capfd.readouterr().err.split())
    assert run_command(monkeypatch, folder, *predict) == 0
    (predictions,) = folder.glob("results/default/predictions-*/predictions.csv")
    table = pd.read_csv(predictions)
    truth = ["cat" if int(name[:2]) % 2 else "dog" for name in table["instance"]]
    assert len(table) == 8
    assert (table["label"] == truth).mean() > 0.8
    (python,) = (b.code for b in BLOCKS if b.language == "python")
    exec(compile(python, str(PAGE), "exec"), {})


def test_label_studio_by_files(folder, monkeypatch):
    first, with_answers = (shlex.split(c)[3:] for c in COMMANDS if "labelstudio" in c)
    assert run_command(monkeypatch, folder, *first) == 0
    scans = folder / "results" / "default" / "labelling-scans"
    written = json.loads((scans / "batch.labelstudio.json").read_text())
    assert (scans / "labelling-config.xml").read_text().count("<Choice ") == 2
    tasks = []
    for number, task in enumerate(written, start=1):
        name = task["data"]["instance"]
        assert task["data"]["image"] == f"/data/local-files/?d=scans/{name}"
        label = "cat" if int(name[:2]) % 2 else "dog"
        tasks.append(answered(number, task["data"], label, created=number))
    (folder / "export.json").write_bytes(exported("json", tasks))
    assert run_command(monkeypatch, folder, *with_answers) == 0
    assert len((scans / "labels.csv").read_text().splitlines()) == 1 + 8
    assert len(json.loads((scans / "batch.labelstudio.json").read_text())) == 6


def test_texts_in_the_terminal(folder):
    (command,) = (shlex.split(c)[3:] for c in COMMANDS if "task=label" in c)
    talk = Conversation(folder, *command)
    for _ in range(8):
        shown = wait_for(talk, QUESTION)
        kind = next(kind for kind, text in QUESTIONS.items() if text in shown)
        talk.answer(f"/{kind}\n")
        if "a new class" in wait_for(talk, f"a new class|{QUESTION}"):
            talk.answer("y\n")
    wait_for(talk, QUESTION)
    talk.answer("q")
    assert talk.end() == 0
    found = folder / "results" / "default" / "labelling-questions"
    labels = pd.read_csv(found / "labels.csv", dtype=str)
    assert len(labels) == 8
    assert set(labels["label"]) <= set(QUESTIONS)
    assert (found / "model.json").is_file()


QUESTION = r"labelled, [^\n]*\n\n[^\n]+\n\n[^\n]+\n$"


def wait_for(talk, pattern):
    assert talk.wait(lambda shown: re.search(pattern, shown)), talk.everything
    return str(talk.shown)


def test_every_command_is_run():
    kinds = ("task=suggest", "task=label", "task=predict")
    assert all(any(kind in command for kind in kinds) for command in COMMANDS)
    assert len(COMMANDS) == 7
