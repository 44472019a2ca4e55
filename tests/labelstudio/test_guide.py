"""The how-to page on Label Studio: its commands, and the settings that it names."""

import re
import shlex
import time
from types import SimpleNamespace

import pandas as pd
import pytest

from alupdate.data.label_studio_exports import CONTROL
from alupdate.labelstudio import serve
from tests.support.documents import ROOT, blocks
from tests.support.fake_label_studio import TOKEN, FakeStudio, make_photos
from tests.support.real_label_studio import SETTINGS, free_port
from tests.support.runs import run_command

PAGE = ROOT / "docs" / "guide" / "label-studio.md"
BLOCKS = [block for block in blocks(PAGE.read_text()) if block.language == "bash"]
COMMANDS = [c for block in BLOCKS if not block.not_run for c in block.commands]
STARTED = next(block.code for block in BLOCKS if "label-studio start" in block.code)
QUESTIONS = {"card": "my card is lost, number", "transfer": "how do I send money abroad, case"}


@pytest.fixture
def folder(tmp_path):
    make_photos(tmp_path / "photos", n_pool=30, n_test=0)
    texts = [f"{text} {number}" for number in range(8) for text in QUESTIONS.values()]
    pd.DataFrame({"text": texts}).to_csv(tmp_path / "questions.csv", index=False)
    return tmp_path


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_makes_a_project_and_goes_on_with_it(command, folder, monkeypatch):
    studio = FakeStudio()
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", TOKEN)
    monkeypatch.setattr(serve, "LabelStudio", lambda url, token: studio.client(token))

    def interrupted(seconds):
        raise KeyboardInterrupt

    clock = SimpleNamespace(sleep=interrupted, monotonic=time.monotonic)
    monkeypatch.setattr(serve, "time", clock)
    arguments = [*shlex.split(command)[3:], f"task.port={free_port()}", "progress=false"]
    for _ in range(2):
        assert run_command(monkeypatch, folder, *arguments) == 130
        task = studio.queue(1)[0]
        studio.annotate(task, studio.projects[1]["parsed_label_config"][CONTROL]["labels"][0])
    (project,) = studio.projects.values()
    assert project["sampling"] == "Uncertainty sampling"
    assert len(studio.tasks) in (16, 30)
    assert [hook["url"].rpartition("/")[2] for hook in studio.hooks] == ["webhook"]
    assert len(studio.backends) == 1


def test_the_settings_of_the_page_are_those_of_the_tests():
    """A Label Studio that was started so is what the tests use."""
    named = re.findall(r"([A-Z_]{9,})=(\S+)", STARTED)
    given = {name: value for name, value in named if value != "$PWD"}
    assert given.pop("WEBHOOK_TIMEOUT") == "10"
    assert {name: SETTINGS[name] for name in given} == given
    assert len(given) == 3
