"""task=serve with a real Label Studio, over its API and through its page."""

import csv
import re
import shutil
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

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
    Studio,
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


@dataclass
class Place:
    """A pool, and a Label Studio that shows its images.

    Attributes:
        folder: of both, and of results.
        truth: the class of each instance.
        studio: the running Label Studio.
        stack: ends what is started.
    """

    folder: Path
    truth: dict[str, str]
    studio: Studio
    stack: ExitStack

    def serve(self, name):
        """Start the command."""
        url = f"labelstudio.url={self.studio.url}"
        arguments = ["task=serve", *SMALL, url, f"experiment_name={name}", "task.every=0.5"]
        running = Serving(arguments, self.folder, free_port())
        self.stack.callback(running.kill)
        running.start()
        return running

    def sign_in(self, *email):
        """Sign an annotator in."""
        return self.stack.enter_context(closing(Annotator(self.studio, *email)))


def test_a_pool_is_labelled_in_label_studio(tmp_path, monkeypatch):
    """One test, since a Label Studio takes half a minute to start."""
    truth = make_photos(tmp_path / "photos")
    with ExitStack() as stack:
        studio = stack.enter_context(running_studio(tmp_path / "studio", tmp_path))
        place = Place(tmp_path, truth, studio, stack)
        simulated = queries_of_the_simulation(tmp_path, truth)
        what_is_served_is_what_a_simulation_labels_and_nothing_is_lost(
            place, simulated, monkeypatch
        )
        several_annotators_at_once_get_different_tasks(place)
        ten_tasks_labelled_on_the_page_are_those_that_the_strategy_chose(place, simulated)


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


def what_is_served_is_what_a_simulation_labels_and_nothing_is_lost(place, simulated, monkeypatch):
    serving, truth = place.serve("simulated-live"), place.truth
    project, annotator = project_of(serving), place.sign_in()
    served, made = [], []
    for number in range(14):
        if number == 9:
            serving.kill()
            serving.start()
        task = annotator.next(project)
        name = task["data"]["instance"]
        served.append(name)
        made.append(annotator.annotate(task, truth[name]))
    assert served == simulated
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

    (place.folder / "export.json").write_bytes(annotator.export(project))
    arguments = ["task=suggest", *SMALL, "dataset.labels=export.json", "experiment_name=exported"]
    arguments += ["dataset.on_conflict=last", "progress=false"]
    assert run_command(monkeypatch, place.folder, *arguments) == 0
    results = place.folder / "results"
    (ours,) = results.glob(
        f"simulated-live/labelling-photos/labelstudio-{project}/model.safetensors"
    )
    exported = results / "exported" / "labelling-photos" / "model.safetensors"
    first, second = load_file(ours), load_file(exported)
    assert first.keys() == second.keys()
    for name, values in first.items():
        assert (values == second[name]).all(), name


def several_annotators_at_once_get_different_tasks(place):
    serving = place.serve("several")
    project = project_of(serving)
    annotators = [place.sign_in(f"annotator{n}@example.com") for n in range(3)]
    for _ in range(3):
        tasks = [annotator.next(project) for annotator in annotators]
        assert len({task["id"] for task in tasks}) == 3
        for annotator, task in zip(annotators, tasks, strict=True):
            annotator.annotate(task, place.truth[task["data"]["instance"]])
    assert "9 of 60" in serving.page
    serving.kill()


def ten_tasks_labelled_on_the_page_are_those_that_the_strategy_chose(place, expected):
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("no Chromium is installed: the page of Label Studio is not tried out")
    studio, truth = place.studio, place.truth
    project, watcher = project_of(place.serve("page")), place.sign_in()
    with playwright.sync_playwright() as running:
        arguments = ["--no-sandbox", "--disable-background-networking", "--no-first-run"]
        browser = running.chromium.launch(executable_path=CHROMIUM, args=arguments)
        page = browser.new_page()
        page.set_default_timeout(120_000)
        page.goto(f"{studio.url}/user/login")
        page.fill("input[name=email]", USER)
        page.fill("input[name=password]", PASSWORD)
        page.click("button[type=submit]")
        page.wait_for_url(lambda url: "/user/login" not in url)
        page.goto(f"{studio.url}/projects/{project}/data")
        page.click("text=Label All Tasks")
        for name in expected[:10]:
            number = task_of(watcher, project, name)
            on_screen(page, number)
            page.get_by_role("checkbox", name=re.compile(f"^{truth[name]}")).check()
            page.click("button[aria-label='Submit current annotation']")
        number = task_of(watcher, project, expected[10])
        on_screen(page, number)
        field = page.locator("text=/probability 0\\.\\d\\d, after 10 labels/")
        assert field.first.is_visible()
        browser.close()


def on_screen(page, number):
    """Wait until a task is shown; its number stands before "1 of 3" at the bottom."""
    said = re.compile(rf"^{number}\d+ of \d+$")
    page.locator("[class*=current-task__task-id]", has_text=said).wait_for()


def task_of(annotator, project, name):
    """Return the number of the task of an instance."""
    found = annotator.ask("GET", f"/api/tasks?project={project}&page_size=100&page=1")
    (number,) = (task["id"] for task in found["tasks"] if task["data"]["instance"] == name)
    return number
