"""task=serve as a command: what is refused, with one line, before anything is made."""

import shutil
import socket

import pytest

from alupdate.config import ServeTask
from alupdate.labelstudio.listening import Place, listening_at, secret, served
from alupdate.labelstudio.project import check_classes, claimed, connect, interface_of, parts
from alupdate.labelstudio.versions import Versions
from alupdate.utils.errors import InputError
from tests.support.fake_label_studio import FakeStudio
from tests.support.runs import run_command
from tests.support.served_projects import service_of

SERVE = ["task=serve", "dataset=imagefolder", "dataset.path=photos", "dataset.classes=[0,1,2]"]


@pytest.fixture
def free_port():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return taken.getsockname()[1]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([], "labelstudio.token: a value is required"),
        (["labelstudio.token='$NO_SUCH_NAME'"], "the environment has no variable NO_SUCH_NAME"),
        (["labelstudio.url=localhost:8080"], "labelstudio.url=localhost:8080: must"),
        (["labelstudio.project=0"], "labelstudio.project=0: must"),
        (["labelstudio.token=abc", "task.host=0.0.0.0"], "task.host=0.0.0.0: others can reach it"),
        (
            ["labelstudio.token=abc", "task.public_url=https://example.org"],
            "task.public_url=https://example.org: others can reach it",
        ),
        (["labelstudio.token=abc", "task.port=70000"], "task.port=70000: must"),
        (["labelstudio.token=abc", "task.every=0"], "task.every=0: must"),
        (["labelstudio.token=abc", "task.every=1e30"], "task.every=1e+30: must"),
        (["labelstudio.token=abc", "task.public_url='http://[abc'"], "task.public_url=http://[abc"),
        (["labelstudio.token=abc", "labelstudio.url='http://[abc'"], "labelstudio.url=http://[abc"),
        (["labelstudio.token=12345"], "labelstudio.token=***: must"),
        (["task.token=[hunter2]"], "task.token=***: must"),
        (["labelstudio.token='hunter 2'"], "labelstudio.token: may have ASCII letters"),
        (["labelstudio.token=abc", "strategy=lookahead"], "is an oracle"),
        (["labelstudio.token=abc", "backbone=cnn"], "is trained as a whole"),
        (["labelstudio.token=abc", "labelstudio.urls=x"], "labelstudio.urls: no such key"),
    ],
)
def test_a_wrong_command_is_one_line(arguments, complaint, photos, tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("LABEL_STUDIO_API_KEY", raising=False)
    assert run_command(monkeypatch, tmp_path, *SERVE, *arguments) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert complaint in lines[0]
    assert not (tmp_path / "results").exists()


def test_settings_of_label_studio_are_for_this_task_alone(tmp_path, monkeypatch, capsys):
    assert run_command(monkeypatch, tmp_path, "labelstudio.token=abc", "dataset=digits") == 2
    message = capsys.readouterr().err
    assert "labelstudio.token: " in message
    assert "abc" not in message


def test_label_studio_that_does_not_answer_is_one_line(
    photos, tmp_path, monkeypatch, capsys, free_port
):
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", "abc")
    url = f"labelstudio.url=http://127.0.0.1:{free_port}"
    assert run_command(monkeypatch, tmp_path, *SERVE, url, f"task.port={free_port + 1}") == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert f"{url}: Label Studio does not answer" in lines[0]
    assert not (tmp_path / "results").exists()


def test_a_port_that_is_taken_is_one_line(photos, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", "abc")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert run_command(monkeypatch, tmp_path, *SERVE, f"task.port={port}") == 2
    assert f"task.port={port}: cannot listen on 127.0.0.1" in capsys.readouterr().err


def test_a_secret_is_a_value_or_the_name_of_a_variable(monkeypatch):
    monkeypatch.setenv("MINE", "from-the-environment")
    monkeypatch.setenv("USUAL", "by-default")
    assert secret("as-it-is", "key") == "as-it-is"
    assert secret("$MINE", "key") == "from-the-environment"
    assert secret(None, "key", "USUAL") == "by-default"
    assert secret(None, "key") is None


@pytest.mark.parametrize(
    "token", ["hunter2\n", "hunter\r2", "hünter2", "hunter2\udcff", " hunter2"]
)
def test_a_secret_that_no_header_can_carry_is_not_shown(token, monkeypatch):
    monkeypatch.setattr("os.environ", {"MINE": token})
    with pytest.raises(InputError, match=r"^task\.token: may have") as raised:
        secret("$MINE", "task.token")
    assert "nter" not in str(raised.value)


def test_a_project_whose_files_are_not_shown_yet_is_not_made_twice(photos):
    studio = FakeStudio(serves_files=False)
    for _ in range(2):
        with pytest.raises(InputError, match="LOCAL_FILES_SERVING_ENABLED"):
            service_of(studio)
    studio.serves_files = True
    for _ in range(2):
        service_of(studio)
    assert len(studio.projects) == len(studio.storages) == 1
    assert len(studio.tasks) == len(photos)


def test_a_copy_of_a_folder_is_no_second_project(photos):
    studio = FakeStudio()
    service = service_of(studio)
    folder = service.live.campaign.folder
    shutil.copytree(folder, f"{folder}-before")
    assert service_of(studio).claim == service.claim


def test_what_is_wrong_is_said_once_and_stays_on_the_page(photos, capsys):
    studio = FakeStudio()
    service = service_of(studio)

    def fail():
        raise OSError(28, "No space left on device", "labels.csv")

    for _ in range(2):
        service._take([fail, service.live.check_alone])
        assert service.live.trouble == "labels.csv: No space left on device"
    assert len(capsys.readouterr().err.splitlines()) == 1
    service._take([service.live.check_alone])
    assert service.live.trouble == ""


def test_the_address_for_label_studio():
    task = ServeTask("serve", public_url="http://localhost/alupdate/")
    assert Place.of(task).address == "http://localhost/alupdate"
    assert Place.of(ServeTask("serve", host="::1")).address == "http://[::1]:9090"
    open_to_all = ServeTask("serve", host="0.0.0.0", token="t", public_url="http://me.example:80")
    assert "me.example" in Place.of(open_to_all).hosts


def test_requests_are_answered_by_a_server_that_ends(free_port):
    import httpx
    from fastapi import FastAPI

    app = FastAPI(openapi_url=None)
    app.get("/")(lambda: "yes")
    place = Place("127.0.0.1", free_port, "", None)
    with listening_at(place) as listening, served(app, listening):
        assert httpx.get(f"http://127.0.0.1:{free_port}").json() == "yes"
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"http://127.0.0.1:{free_port}")


def choices(*labels):
    return {"type": "Choices", "to_name": ["text"], "labels": list(labels)}


@pytest.mark.parametrize(
    ("config", "complaint"),
    [
        ({}, "has 0 Choices"),
        ({"a": choices("x", "y"), "b": choices("x", "y")}, "has 2 Choices"),
        ({"a": choices("x")}, "have 1 classes"),
        ({"a": {"type": "Labels", "labels": ["x", "y"]}}, "has 0 Choices"),
    ],
)
def test_a_project_without_a_choice_of_classes_is_refused(config, complaint):
    with pytest.raises(InputError, match=f"labelstudio.project=3: .*{complaint}"):
        interface_of({"id": 3, "parsed_label_config": config})


def test_classes_that_differ_from_the_project_are_named():
    check_classes(("y", "x"), ("x", "y"), 3)
    check_classes(None, ("x", "y"), 3)
    with pytest.raises(InputError, match="lacks z"):
        check_classes(("x", "y", "z"), ("x", "y"), 3)
    with pytest.raises(InputError, match="has y, too"):
        check_classes(("x",), ("x", "y"), 3)


def test_a_connection_that_is_there_gets_the_present_token():
    studio = FakeStudio()
    project = studio.client().create_project({"label_config": ""})["id"]
    for token in ("old", "new", None):
        connect(studio.client(), project, "http://127.0.0.1:9090", token, ["A"])
        (backend,) = studio.backends
        if token is None:
            assert backend["auth_method"] == "NONE"
        else:
            assert backend["basic_auth_pass"] == token


def test_a_folder_is_for_one_project(tmp_path):
    first = claimed(tmp_path, {"id": 3, "created_at": "2026"}, made=True)
    assert claimed(tmp_path, {"id": 3, "created_at": "2026"}, made=False) == first
    with pytest.raises(InputError, match="is for another project"):
        claimed(tmp_path, {"id": 3, "created_at": "2027"}, made=False)
    (tmp_path / "labelstudio-3" / "backend.json").write_text("{")
    with pytest.raises(InputError, match="is damaged"):
        claimed(tmp_path, {"id": 3, "created_at": "2026"}, made=False)


def test_tasks_are_sent_in_parts_that_a_request_may_have():
    tasks = [{"data": {"image": "x" * size}} for size in (10, 9_000_000, 9_000_000, 20, 30)]
    found = list(parts(iter(tasks)))
    assert [len(part) for part in found] == [2, 3]
    assert [task for part in found for task in part] == tasks
    many = [{"data": {}}] * 1201
    assert [len(part) for part in parts(iter(many))] == [500, 500, 201]


def test_versions_of_other_backends_are_told_apart():
    versions = Versions("abc123")
    assert versions.is_of_another("alupdate-def456-3-labels")
    assert not versions.is_of_another("alupdate-abc123-3-labels")
    assert not versions.is_of_another("my-model")
    assert not versions.is_of_another("")
