"""What is answered over HTTP, and to whom."""

import base64
import time

import pytest
from starlette.testclient import TestClient

from alupdate.labelstudio.listening import Place
from alupdate.labelstudio.live import Latency
from alupdate.labelstudio.page import recent, spread
from alupdate.labelstudio.server import MOST_BYTES, Backend
from tests.support.fake_label_studio import FakeStudio
from tests.support.served_projects import label_next, service_of

LOCAL = "http://127.0.0.1:9090"
OPEN, GUARDED = Place("127.0.0.1", 9090, LOCAL, None), Place("0.0.0.0", 9090, LOCAL, "secret-42")


@pytest.fixture
def served(photos):
    studio = FakeStudio()
    service = service_of(studio)
    return studio, service


def browser_of(service, place=OPEN):
    backend = Backend(service.live, service.claim, service.name, place)
    return TestClient(backend.app, base_url=LOCAL)


def uid(service):
    return f"{service.claim.project}.1732758"


def test_label_studio_finds_a_healthy_backend_and_its_version(served):
    _, service = served
    browser = browser_of(service)
    assert browser.get("/health").json()["status"] == "UP"
    setup = {"project": uid(service), "schema": "<View/>", "access_token": "x", "hostname": "h"}
    version = {"model_version": service.live.state.version}
    assert browser.post("/setup", json=setup).json() == version
    assert browser.get("/versions").json() == {"versions": [service.live.state.version]}
    for path in ("/validate", "/train", "/job_status", "/delete", "/duplicate_model"):
        assert browser.post(path, json={}).status_code == 200


def test_news_of_an_annotation_is_answered_when_the_next_task_is_there(served, photos):
    studio, service = served
    task = studio.queue(service.claim.project)[0]
    studio.annotate(task, photos[task["data"]["instance"]])
    news = {"action": "ANNOTATION_CREATED", "project": {"id": service.claim.project}}
    answer = browser_of(service).post("/webhook", json=news | {"annotation": {"result": "lies"}})
    assert answer.json()["model_version"].endswith("-1-labels")
    assert studio.projects[service.claim.project]["model_version"].endswith("-1-labels")
    assert len(service.live.latencies) == 1


def test_what_the_news_says_is_not_believed(served):
    _, service = served
    forged = {"action": "ANNOTATION_CREATED", "annotation": {"task": 1, "result": [{}]}}
    assert browser_of(service).post("/webhook", json=forged).status_code == 200
    assert service.live.state.n_labelled == 0


@pytest.mark.parametrize("path", ["/webhook", "/setup", "/predict"])
def test_other_projects_are_refused(served, path):
    _, service = served
    asked = {"action": "ANNOTATION_CREATED", "project": {"id": 99}}
    asked |= {} if path == "/webhook" else {"project": "99.1", "tasks": []}
    answer = browser_of(service).post(path, json=asked)
    assert answer.status_code == 409
    assert "not 99" in answer.text


def test_predictions_that_are_asked_for_come_behind_those_chosen(served, photos):
    studio, service = served
    label_next(studio, service, photos, 8)
    tasks = [task for task in studio.tasks.values() if not task["annotations"]][:5]
    answer = browser_of(service).post("/predict", json={"project": uid(service), "tasks": tasks})
    results = answer.json()["results"]
    assert len(results) == 5
    for result in results:
        assert 0.9 < result["score"] <= 1
        share = result["result"][0]["score"]
        assert share == pytest.approx((result["score"] - 0.9) / 0.1, abs=1e-4)
        assert result["model_version"] == service.live.state.version


@pytest.mark.parametrize(
    "data",
    [{"instance": "../../etc/passwd"}, {"image": "http://169.254.169.254/"}, {"instance": 3}, {}],
)
def test_tasks_about_nothing_in_the_pool_are_refused_and_nothing_is_fetched(served, data):
    _, service = served
    asked = {"project": uid(service), "tasks": [{"id": 7, "data": data}]}
    answer = browser_of(service).post("/predict", json=asked)
    assert answer.status_code == 422
    assert "task 7" in answer.text
    assert "no instance of the pool" in answer.text


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"\xff", b'{"action": 3}', b"[" * 100_000, b'{"action": "A", "project": 1}'],
)
def test_malformed_content_is_one_line(served, content):
    _, service = served
    answer = browser_of(service).post("/webhook", content=content)
    assert answer.status_code == 422
    assert len(answer.text.splitlines()) == 1


def test_too_large_a_request_is_not_read(served):
    _, service = served
    browser = browser_of(service)
    headers = {"content-length": str(MOST_BYTES + 1)}
    assert browser.post("/webhook", content=b"{}", headers=headers).status_code == 413
    assert browser.post("/webhook", content=iter([b"{}"])).status_code == 413


def test_only_requests_to_this_machine_by_name_are_answered(served):
    """A page of another site whose name was made to mean this machine reads nothing."""
    _, service = served
    answer = browser_of(service).get("/", headers={"host": "evil.example:9090"})
    assert answer.status_code == 400


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({}, 401),
        ({"authorization": "Bearer wrong"}, 401),
        ({"authorization": "Basic ???"}, 401),
        ({"authorization": "Bearer secret-42"}, 200),
        ({"authorization": "Token secret-42"}, 200),
        ({"authorization": "Basic " + base64.b64encode(b"me:secret-42").decode()}, 200),
    ],
)
@pytest.mark.parametrize("path", ["/", "/health"])
def test_a_token_is_asked_for(served, headers, code, path):
    _, service = served
    assert browser_of(service, GUARDED).get(path, headers=headers).status_code == code


def test_the_page_says_how_far_the_labelling_is(served, photos):
    studio, service = served
    text = browser_of(service).get("/").text
    assert "0 of 60" in text
    assert "from 6 labels on" in text
    label_next(studio, service, photos, 12)
    studio.add_task(service.claim.project, {"image": "x"})
    task = studio.queue(service.claim.project)[0]
    studio.annotate(task, "<script>alert(1)</script>")
    service.live.catch_up(time.monotonic())
    service.live.trouble = "Label Studio does not answer"
    text = browser_of(service).get("/").text
    assert "12 of 60, 1 skipped" in text
    forecast = service.live.forecast()
    assert f"{forecast.now.in_words()}\n<div class" in text
    assert "90 % intervals; no random instances were set aside" in text
    assert "1 tasks of the project" in text
    assert "median" in text
    assert "does not answer" in text
    assert "<script>alert" not in text


def test_latencies_of_the_last_minute():
    latencies = [Latency(at, seconds) for at, seconds in ((0, 9.0), (50, 1.0), (60, 3.0))]
    assert recent(latencies, 61.0) == [1.0, 3.0]
    assert spread([1.0, 3.0]) == (2.0, pytest.approx(2.9))
    assert spread([1.0]) == (1.0, 1.0)


def test_no_secret_is_in_an_answer_or_on_the_page(served):
    _, service = served
    browser = browser_of(service, GUARDED)
    headers = {"authorization": "Bearer secret-42"}
    setup = {"project": uid(service), "access_token": "legacy-key", "schema": ""}
    answers = [
        browser.post("/setup", json=setup, headers=headers),
        browser.get("/", headers=headers),
    ]
    for answer in answers:
        assert answer.status_code == 200
        assert "legacy-key" not in answer.text
        assert "secret-42" not in answer.text
