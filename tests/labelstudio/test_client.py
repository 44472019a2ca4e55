"""Requests to Label Studio: tokens, pages, and what goes wrong."""

import base64
import json
import time

import httpx
import pytest

from alupdate.labelstudio.client import (
    PAGE_SIZE,
    LabelStudio,
    RefusedError,
    UnreachableError,
    end_of_token,
)
from alupdate.utils.errors import InputError
from tests.support.fake_label_studio import TOKEN, FakeStudio


def jwt(seconds):
    content = base64.urlsafe_b64encode(json.dumps({"exp": time.time() + seconds}).encode())
    return f"head.{content.decode().rstrip('=')}.signature"


def client_of(answer, token=TOKEN):
    return LabelStudio("http://studio/", token, httpx.MockTransport(answer))


@pytest.mark.parametrize("lifetime", [300, 10])
def test_a_personal_token_is_exchanged_and_renewed_before_it_ends(lifetime):
    refresh, seen = jwt(1000), []

    def answer(request):
        seen.append((request.url.path, request.headers.get("authorization")))
        if request.url.path == "/api/token/refresh":
            assert json.loads(request.content) == {"refresh": refresh}
            return httpx.Response(200, json={"access": jwt(lifetime)})
        return httpx.Response(200, json={"release": "1.23.2"})

    client = client_of(answer, refresh)
    assert client.version() == client.version() == "1.23.2"
    exchanges = [path for path, _ in seen if path == "/api/token/refresh"]
    assert len(exchanges) == (1 if lifetime == 300 else 2)
    assert all(token.startswith("Bearer ") for path, token in seen if path == "/api/version")
    assert all(token != f"Bearer {refresh}" for _, token in seen)


def test_an_access_token_that_was_revoked_is_exchanged_again():
    answers = iter([401, 200])

    def answer(request):
        if request.url.path == "/api/token/refresh":
            return httpx.Response(200, json={"access": jwt(300)})
        return httpx.Response(next(answers), json={"release": "1"})

    assert client_of(answer, jwt(1000)).version() == "1"


@pytest.mark.parametrize("status", [400, 401, 403])
@pytest.mark.parametrize("token", [TOKEN, jwt(1000)], ids=["legacy", "personal"])
def test_a_token_that_is_not_accepted_is_named_and_not_shown(status, token):
    client = client_of(lambda request: httpx.Response(status, json={"detail": "no"}), token)
    with pytest.raises(RefusedError) as refused:
        client.version()
    assert token not in str(refused.value)
    if status == 401 or (token != TOKEN and status == 400):
        assert str(refused.value).startswith("labelstudio.token: Label Studio does not accept it")


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(500, text="<html>trouble</html>"),
        httpx.Response(503, json={"detail": "database is locked"}),
        httpx.ConnectError("refused"),
        httpx.ReadTimeout("slow"),
        httpx.RemoteProtocolError("cut"),
    ],
)
def test_trouble_of_label_studio_can_be_tried_again(answer):
    def fail(request):
        if isinstance(answer, Exception):
            raise answer
        return answer

    with pytest.raises(UnreachableError, match=r"^labelstudio\.url=http://studio") as raised:
        client_of(fail).version()
    assert len(str(raised.value).splitlines()) == 1


def test_a_refusal_says_what_label_studio_says():
    found = {"detail": "Validation error", "validation_errors": {"title": ["too\nlong"]}}
    client = client_of(lambda request: httpx.Response(400, json=found))
    with pytest.raises(RefusedError, match=r"/api/projects/: 400, .*too.*long") as raised:
        client.create_project({})
    assert raised.value.status == 400
    assert len(str(raised.value).splitlines()) == 1


@pytest.mark.parametrize("text", ["<html></html>", "", "[" * 100_000])
def test_what_is_not_label_studio_is_said_to_be_none(text):
    client = client_of(lambda request: httpx.Response(200, text=text))
    with pytest.raises(InputError, match="not Label Studio"):
        client.version()


@pytest.mark.parametrize("found", [[], {}, "text", None, 3, [3], {"results": []}])
def test_json_that_is_none_of_label_studio_is_said_to_be_none(found):
    client = client_of(lambda request: httpx.Response(200, json=found))
    asked = [lambda: client.project(3), lambda: client.tasks(3)]
    asked += [] if found == [] else [lambda: client.webhooks(3)]
    for ask in asked:
        with pytest.raises(RefusedError, match="not Label Studio"):
            ask()


def test_a_page_in_place_of_an_access_token_is_said_to_be_none():
    client = client_of(lambda request: httpx.Response(200, text="<html></html>"), jwt(1000))
    with pytest.raises(RefusedError, match="not Label Studio"):
        client.version()


def test_passwords_in_an_address_are_not_shown():
    def fail(request):
        raise httpx.ConnectError("refused")

    client = LabelStudio("http://me:hunter2@studio", TOKEN, httpx.MockTransport(fail))
    with pytest.raises(UnreachableError) as raised:
        client.version()
    assert "hunter2" not in str(raised.value)


@pytest.mark.parametrize("count", [0, 1, PAGE_SIZE, PAGE_SIZE + 1])
def test_tasks_come_page_after_page(count):
    studio = FakeStudio()
    project = studio._new_project({"label_config": ""})["id"]
    for number in range(count):
        studio.add_task(project, {"instance": str(number)})
    found = studio.client().tasks(project).tasks
    assert [task["data"]["instance"] for task in found] == [str(n) for n in range(count)]


@pytest.mark.parametrize("token", ["", "a.b.c", "a.!!.c", "a.b", "a." + "A" * 10 + ".c"])
def test_the_end_of_what_is_no_token_is_unknown(token):
    assert end_of_token(token) == 0
