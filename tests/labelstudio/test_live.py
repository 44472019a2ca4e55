"""The queue of a project follows its annotations: a Label Studio in memory."""

import csv
import io

import pytest
import torch

import alupdate
from alupdate.data.dataset import Texts
from alupdate.experiment.selection import Selector
from alupdate.labelstudio.annotations import TaskReader
from alupdate.labelstudio.client import UnreachableError
from alupdate.models.saved import load_model
from alupdate.utils.errors import InputError
from tests.support.fake_label_studio import CLASSES, FakeStudio, result_of
from tests.support.served_projects import SMALL, label_next, service_of

LONG_AGO = "2020-01-01T00:00:00.000000Z"


def trained_again(service):
    """Return the mean weights that the labels of a service give a cold start."""
    campaign = service.live.campaign
    return campaign.suggester(Selector(campaign.config)).model(campaign.pool).posterior.mean


def test_annotating_what_is_served_gives_the_simulated_run(photos):
    with open("truth.csv", "w", newline="") as file:
        csv.writer(file).writerows([["instance", "label"], *photos.items()])
    run = alupdate.run(["dataset.path=photos", "dataset.labels=truth.csv", "n_cycles=2", *SMALL])
    studio = FakeStudio()
    service = service_of(studio)
    served = label_next(studio, service, photos, 14)
    names = service.live.campaign.data.names
    assert served == [names[i] for i in run.queries["pool_index"]]
    service.live.keep()
    folder = service.live.campaign.folder
    progress = list(csv.DictReader(io.StringIO((folder / "progress.csv").read_text())))
    assert float(progress[-1]["accuracy"]) == run.curve["accuracy"].iloc[-1]
    rows = list(csv.DictReader(io.StringIO((folder / "labels.csv").read_text())))
    assert [(row["instance"], row["label"]) for row in rows] == [(n, photos[n]) for n in served]
    assert torch.equal(load_model(folder).posterior.mean, trained_again(service))
    assert load_model(folder).facts.n_labelled == 14


def test_a_new_project_has_a_task_for_each_instance_and_serves_by_uncertainty(photos):
    studio = FakeStudio()
    service = service_of(studio)
    (project,) = studio.projects.values()
    assert project["sampling"] == "Uncertainty sampling"
    assert {task["data"]["instance"] for task in studio.tasks.values()} == set(photos)
    assert project["model_version"] == service.live.state.version
    assert service.live.state.version.endswith("-0-labels")
    scores = [p["score"] for p in studio.predictions]
    assert len(scores) == 6
    assert min(scores) == 0
    assert max(scores) < 1
    assert all(prediction["result"] == [] for prediction in studio.predictions)


def test_predictions_name_a_class_its_probability_and_how_many_labels_were_seen(photos):
    studio = FakeStudio()
    service = service_of(studio)
    label_next(studio, service, photos, 7)
    assert service.live.state.version.endswith("-7-labels")
    current = [p for p in studio.predictions if p["model_version"] == service.live.state.version]
    assert len(current) >= 4
    for prediction in current:
        said, note = prediction["result"]
        assert note["value"]["text"][0].endswith("after 7 labels")
        assert f"probability {said['score']:.2f}" in note["value"]["text"][0]
        assert said["value"]["choices"][0] in CLASSES
        assert 1 / 3 <= said["score"] <= 1


def test_a_changed_a_deleted_and_a_skipped_annotation_are_as_if_they_had_been_so_at_once(photos):
    studio = FakeStudio()
    service = service_of(studio)
    label_next(studio, service, photos, 9)
    done = [task for task in studio.tasks.values() if task["annotations"]]
    wrong = next(c for c in CLASSES if c != photos[done[2]["data"]["instance"]])
    studio.change(done[2], done[2]["annotations"][0], wrong)
    studio.delete(done[4], done[4]["annotations"][0])
    skipped = studio.queue(service.claim.project)[0]
    studio.annotate(skipped, CLASSES[0], was_cancelled=True)
    assert service.live.catch_up()
    state = service.live.state
    names = service.live.campaign.data.names
    assert state.n_labelled == 8
    assert [names[i] for i in state.labels.skipped] == [skipped["data"]["instance"]]
    cold = service_of(studio, project=service.claim.project)
    assert cold.live.state.labels.content() == state.labels.content()
    assert torch.equal(trained_again(service), trained_again(cold))
    service.live.keep()
    assert torch.equal(load_model(service.live.campaign.folder).posterior.mean, trained_again(cold))
    for _ in range(20):
        task = studio.queue(service.claim.project)[0]
        assert task is not skipped
        studio.annotate(task, photos[task["data"]["instance"]])
        service.live.catch_up()


def test_news_that_was_lost_is_made_good_by_the_next_reading(photos):
    studio = FakeStudio()
    service = service_of(studio)
    tasks = studio.queue(service.claim.project)[:5]
    for task in tasks:
        studio.annotate(task, photos[task["data"]["instance"]])
    assert service.live.catch_up()
    assert service.live.state.n_labelled == 5
    assert not service.live.catch_up()


def test_the_same_command_again_goes_on_with_its_project(photos):
    studio = FakeStudio()
    first = service_of(studio)
    label_next(studio, first, photos, 8)
    again = service_of(studio)
    assert again.claim == first.claim
    assert len(studio.projects) == 1
    assert len(studio.tasks) == len(photos)
    assert again.live.state.labels.content() == first.live.state.labels.content()
    assert again.live.state.version.endswith("-8-labels-2")
    del studio.projects[first.claim.project]
    assert service_of(studio).claim.project != first.claim.project


def test_tasks_that_were_not_imported_yet_are_added_to_a_project_of_its_own(photos):
    studio = FakeStudio()
    first = service_of(studio)
    lost = list(studio.tasks)[10:]
    for number in lost:
        del studio.tasks[number]
    service_of(studio)
    assert {task["data"]["instance"] for task in studio.tasks.values()} == set(photos)
    assert first.claim.made


def test_a_foreign_project_gets_no_tasks_and_loses_nothing(photos):
    studio = FakeStudio()
    made = service_of(studio, "experiment_name=first")
    number = made.claim.project
    kept = list(studio.tasks)[:20]
    studio.tasks = {n: studio.tasks[n] for n in kept}
    studio.add_task(number, {"instance": "elsewhere.png", "image": "http://127.0.0.1/secret"})
    studio.add_task(number, {"image": "file:///etc/passwd"})
    other = {"task": kept[0], "model_version": "mine", "score": 0.1, "latest": LONG_AGO}
    studio.predictions.append(other)
    before = {n: list(task["annotations"]) for n, task in studio.tasks.items()}
    service = service_of(studio, "experiment_name=second", project=number)
    service.live.tidy()
    assert len(studio.tasks) == 22
    assert before == {n: task["annotations"] for n, task in studio.tasks.items()}
    assert other in studio.predictions
    assert (service.live.state.n_tasks, service.live.state.n_foreign) == (20, 2)
    current = [p for p in studio.predictions if p["model_version"] == service.live.state.version]
    assert current
    assert {prediction["task"] for prediction in current} <= set(kept)


def test_label_studio_that_is_down_for_a_while_loses_nothing(photos):
    studio = FakeStudio()
    service = service_of(studio)
    task = studio.queue(service.claim.project)[0]
    studio.annotate(task, photos[task["data"]["instance"]])
    studio.down = True
    with pytest.raises(UnreachableError, match="does not answer"):
        service.live.catch_up()
    studio.down = False
    assert service.live.catch_up()
    assert service.live.state.n_labelled == 1
    assert studio.projects[service.claim.project]["model_version"] == service.live.state.version


def test_predictions_that_could_not_be_announced_are_written_again(photos):
    studio = FakeStudio()
    service = service_of(studio)
    task = studio.queue(service.claim.project)[0]
    studio.annotate(task, photos[task["data"]["instance"]])
    change = service.studio.change_project

    def fail(number, settings):
        raise UnreachableError("gone")

    service.studio.change_project = fail
    with pytest.raises(UnreachableError):
        service.live.catch_up()
    service.studio.change_project = change
    assert service.live.catch_up()
    assert studio.projects[service.claim.project]["model_version"] == service.live.state.version
    assert studio.queue(service.claim.project)


def test_old_predictions_of_its_own_are_deleted_after_a_day_and_no_others(photos):
    studio = FakeStudio()
    service = service_of(studio)
    label_next(studio, service, photos, 3)
    versions = {p["model_version"] for p in studio.predictions}
    assert len(versions) == 4
    for prediction in studio.predictions:
        prediction["latest"] = LONG_AGO
    other = {"task": 1, "model_version": "alupdate-other-1-labels", "score": 0, "latest": LONG_AGO}
    studio.predictions.append(other)
    service.live.tidy()
    left = {p["model_version"] for p in studio.predictions}
    assert left == {service.live.state.version, "alupdate-other-1-labels"}


def test_a_second_backend_is_noticed(photos):
    studio = FakeStudio()
    service = service_of(studio)
    service.live.check_alone()
    studio.projects[service.claim.project]["model_version"] = "alupdate-abcdef-3-labels"
    with pytest.raises(InputError, match="another backend has taken over"):
        service.live.check_alone()


def test_each_of_several_annotators_has_a_task_of_its_own(photos):
    studio = FakeStudio()
    service = service_of(studio, "batch.size=1")
    for user in range(1, 8):
        task = studio.queue(service.claim.project)[0]
        studio.annotate(task, photos[task["data"]["instance"]], user=user)
        service.live.catch_up()
    assert len(studio.queue(service.claim.project)) > 7


def test_the_first_of_the_queue_is_what_suggest_would_choose(photos):
    studio = FakeStudio()
    service = service_of(studio, "batch=top_b", "strategy=badge")
    label_next(studio, service, photos, 8)
    queue = [task["data"]["instance"] for task in studio.queue(service.claim.project)]
    campaign = service.live.campaign
    chosen = campaign.suggester(Selector(campaign.config)).suggest(
        campaign.pool, campaign.data.skipped
    )
    assert queue[:4] == [campaign.data.names[i] for i in chosen.indices]
    assert len(set(queue)) == len(queue)


NOON = "2026-11-28T12:00:00Z"
ANNOTATION = {"id": 5, "created_at": NOON, "updated_at": NOON}


def reader_of(*names):
    texts = Texts((*names[:-1], "see https://example.org/?a=b"))
    return TaskReader(names, texts, CLASSES, "http://studio")


@pytest.mark.parametrize(
    ("result", "problem"),
    [
        ([], "no choice"),
        (result_of("0") + result_of("1"), "2 choices"),
        (result_of("7"), "none of the classes"),
        ([{"type": "rectangle"}], "rectangle"),
        (None, "no list called result"),
    ],
)
def test_an_annotation_that_is_no_choice_of_one_class_does_not_count(result, problem):
    task = {"id": 3, "data": {"instance": "a"}, "annotations": [{**ANNOTATION, "result": result}]}
    found = reader_of("a").read(task)
    assert found.label is None
    assert found.is_skipped
    assert problem in found.problem
    assert found.problem.startswith("task 3: ")


@pytest.mark.parametrize(
    ("data", "index"),
    [
        ({"text": "b"}, 1),
        ({"text": "see https://example.org/?a=b"}, 2),
        ({"text": "b", "instance": "a"}, 0),
        ({"text": "b", "instance": "d"}, None),
        ({"text": "nothing"}, None),
        ({"text": "a", "other": "b"}, None),
    ],
)
def test_a_task_without_a_name_is_about_the_text_that_it_shows(data, index):
    assert reader_of("a", "b", "c").read({"id": 3, "data": data}).index == index


def test_images_are_known_by_their_path_in_this_label_studio_alone(photos):
    service = service_of(FakeStudio())
    data = service.live.campaign.data
    reader = TaskReader(data.names, data.pool, data.classes, "http://studio")
    path = f"data/local-files/?d=photos/{data.names[4]}"
    for address, index in (
        (f"/{path}", 4),
        (f"http://studio/{path}", 4),
        (f"http://studio.example/{path}", None),
        (f"https://elsewhere/{data.names[4]}", None),
        ("file:///etc/passwd", None),
    ):
        assert reader.read({"id": 1, "data": {"image": address}}).index == index
