"""task=serve with a real Label Studio, over its API and through its page."""

import csv
import shutil
from contextlib import ExitStack, closing

import pytest
from safetensors.numpy import load_file

import alupdate
from alupdate.config.compose import compose_config
from alupdate.utils.display import Display
from tests.support.fake_label_studio import CLASSES, make_photos
from tests.support.real_label_studio import (
    HOW,
    PASSWORD,
    USER,
    Annotator,
    Serving,
    executable,
    free_port,
    running_studio,
)
from tests.support.runs import run_command

pytestmark = pytest.mark.skipif(executable() is None, reason=HOW)
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "chrome"))), None)
SMALL = [
    "dataset=imagefolder", "dataset.path=photos", f"dataset.classes=[{','.join(CLASSES)}]",
    "backbone=pixels", "batch=sequential", "strategy=margin", "update=second_order", "n_initial=6",
    "batch.size=4", "threads=1",
]  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("labelling")


@pytest.fixture(scope="module")
def truth(place):
    return make_photos(place / "photos")


@pytest.fixture(scope="module")
def studio(place, truth):
    with running_studio(place / "studio", place) as running:
        yield running


@pytest.fixture
def serving(place, studio, request):
    name = f"experiment_name={request.node.name}"
    arguments = ["task=serve", *SMALL, f"labelstudio.url={studio.url}", name, "task.every=0.5"]
    running = Serving(arguments, place, free_port())
    running.start()
    yield running
    if running.process.poll() is None:
        running.kill()


@pytest.fixture
def sign_in(studio):
    """Return a function that signs an annotator in."""
    with ExitStack() as stack:
        yield lambda *email: stack.enter_context(closing(Annotator(studio, *email)))


def project_of(serving):
    lines = (serving.folder / "serve.txt").read_text().splitlines()
    said = [line for line in lines if line.startswith("project ")][-1]
    return int(said.split()[1].rstrip(":"))


def queries_of_the_simulation(place, truth):
    """Return the instances that a simulated run labels, in order."""
    with (place / "truth.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["instance", "label"], *truth.items()])
    own = [f"dataset.path={place}/photos", f"dataset.labels={place}/truth.csv"]
    arguments = [*SMALL, *own, "n_cycles=2", "progress=false", f"results_dir={place}/results"]
    run = alupdate.run([*arguments, "experiment_name=simulated"])
    dataset = compose_config([*SMALL, *own]).dataset
    names = dataset.partly_labelled(place / "cache", Display(enabled=False)).names
    return [names[i] for i in run.queries["pool_index"]]


def test_what_is_served_is_what_a_simulation_labels_and_nothing_is_lost(
    place, truth, serving, sign_in, monkeypatch
):
    project, annotator = project_of(serving), sign_in()
    served, made = [], []
    for number in range(14):
        if number == 9:
            serving.kill()
            serving.start()
        task = annotator.next(project)
        name = task["data"]["instance"]
        served.append(name)
        made.append(annotator.annotate(task, truth[name]))
    assert served == queries_of_the_simulation(place, truth)
    assert annotator.next(project)["predictions"][0]["model_version"].endswith("-14-labels")

    serving.kill()  # what comes now, nobody announces
    wrong = next(c for c in CLASSES if c != truth[served[3]])
    annotator.change(made[3], wrong)
    annotator.ask("DELETE", f"/api/annotations/{made[8]['id']}/")
    skipped = annotator.next(project)
    annotator.annotate(skipped, CLASSES[0], was_cancelled=True)
    serving.start()
    assert "13 of 60, 1 skipped" in serving.page
    assert annotator.next(project)["data"]["instance"] != skipped["data"]["instance"]
    assert serving.end() == 130

    (place / "export.json").write_bytes(annotator.export(project))
    arguments = ["task=suggest", *SMALL, "dataset.labels=export.json", "experiment_name=exported"]
    arguments += ["dataset.on_conflict=last", "progress=false"]
    assert run_command(monkeypatch, place, *arguments) == 0
    results = place / "results"
    (ours,) = results.glob(f"test_what*/labelling-photos/labelstudio-{project}/model.safetensors")
    exported = results / "exported" / "labelling-photos" / "model.safetensors"
    first, second = load_file(ours), load_file(exported)
    assert first.keys() == second.keys()
    for name, values in first.items():
        assert (values == second[name]).all(), name


def test_several_annotators_at_once_get_different_tasks(truth, serving, sign_in):
    project = project_of(serving)
    annotators = [sign_in(f"annotator{n}@example.com") for n in range(3)]
    for _ in range(3):
        tasks = [annotator.next(project) for annotator in annotators]
        assert len({task["id"] for task in tasks}) == 3
        for annotator, task in zip(annotators, tasks, strict=True):
            annotator.annotate(task, truth[task["data"]["instance"]])
    assert "9 of 60" in serving.page


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")
def test_ten_tasks_labelled_on_the_page_are_those_that_the_strategy_chose(
    place, truth, serving, studio, sign_in
):
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    project = project_of(serving)
    expected = queries_of_the_simulation(place, truth)
    watcher = sign_in()
    with playwright.sync_playwright() as running:
        arguments = ["--no-sandbox", "--disable-background-networking", "--no-first-run"]
        browser = running.chromium.launch(executable_path=CHROMIUM, args=arguments)
        page = browser.new_page()
        page.set_default_timeout(120_000)
        page.goto(f"{studio.url}/user/login")
        page.fill("input[name=email]", USER)
        page.fill("input[name=password]", PASSWORD)
        page.click("button[type=submit]")
        page.wait_for_url("**/projects**")
        page.goto(f"{studio.url}/projects/{project}/data?labeling=1")
        for name in expected[:10]:
            number = task_of(watcher, project, name)
            page.wait_for_selector(f"text=#{number}")
            page.get_by_text(truth[name], exact=False).locator("visible=true").first.wait_for()
            page.keyboard.press(str(CLASSES.index(truth[name]) + 1))
            page.click("button[aria-label='Submit current annotation']")
            page.wait_for_selector("text=saved successfully")
        number = task_of(watcher, project, expected[10])
        page.wait_for_selector(f"text=#{number}")
        field = page.locator("text=/probability 0\\.\\d\\d, after 10 labels/")
        assert field.first.is_visible()
        browser.close()


def task_of(annotator, project, name):
    """Return the number of the task of an instance."""
    found = annotator.ask("GET", f"/api/tasks?project={project}&page_size=100&page=1")
    (number,) = (task["id"] for task in found["tasks"] if task["data"]["instance"] == name)
    return number
