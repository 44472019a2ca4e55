"""The queue of a project follows its annotations: a Label Studio in memory."""

import csv
import io
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
import torch

import alupdate
from alupdate.data.dataset import Texts
from alupdate.data.label_studio_exports import NOTE, read_json_export
from alupdate.experiment.selection import Selector
from alupdate.labelstudio import client
from alupdate.labelstudio.annotations import LabelledTask, PoolLabels, TaskReader, pool_labels
from alupdate.labelstudio.client import RefusedError, UnreachableError
from alupdate.models.saved import load_model
from alupdate.utils.errors import InputError
from tests.support.fake_label_studio import CLASSES, FakeStudio, result_of
from tests.support.served_projects import QUIET, SMALL, config_of, label_next, service_of

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


@pytest.mark.parametrize("says_time", [True, False])
def test_only_what_has_changed_is_read_again(photos, says_time):
    """With 10,000 tasks that were imported in one go, all of them would take Label Studio long."""
    studio = FakeStudio(says_time=says_time)
    service = service_of(studio)
    studio.clock += timedelta(minutes=1)
    if says_time:
        service.live.catch_up()
        studio.pages.clear()
        service.live.catch_up()
        assert studio.pages == [0]
    label_next(studio, service, photos, 1)
    studio.pages.clear()
    label_next(studio, service, photos, 3)
    assert max(studio.pages) <= 8
    assert service.live.state.n_labelled == 4


def test_an_annotation_that_is_made_while_all_tasks_are_read_is_seen(photos, monkeypatch):
    monkeypatch.setattr(client, "PAGE_SIZE", 20)
    studio = FakeStudio()
    service = service_of(studio)
    first = min(studio.tasks)

    def annotate(page):
        if page == 3:
            studio.after_page = lambda page: None
            task = studio.tasks[first]
            studio.annotate(task, photos[task["data"]["instance"]])

    studio.after_page = annotate
    assert service.live.catch_up(everything=True)
    assert service.live.state.n_labelled == 1


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


def test_a_project_that_is_gone_ends_the_command(photos):
    studio = FakeStudio()
    service = service_of(studio)
    del studio.projects[service.claim.project]
    with pytest.raises(InputError, match="is gone"):
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


def test_a_label_outside_of_the_subset_in_the_middle_of_a_batch_is_as_at_a_cold_start(photos):
    studio, subset = FakeStudio(), "subset=8"
    service = service_of(studio, subset)
    label_next(studio, service, photos, 7)
    queue = studio.queue(service.claim.project)
    other = next(t for t in studio.tasks.values() if not t["annotations"] and t not in queue)
    studio.annotate(other, photos[other["data"]["instance"]])
    assert service.live.catch_up()
    served = studio.queue(service.claim.project)
    service_of(studio, subset, "experiment_name=cold", project=service.claim.project)
    assert studio.queue(service.claim.project) == served


def test_when_all_is_labelled_nothing_is_left_to_say(photos):
    studio = FakeStudio()
    service = service_of(studio)
    for task in studio.tasks.values():
        studio.annotate(task, photos[task["data"]["instance"]])
    assert service.live.catch_up()
    assert service.live.state.n_labelled == len(photos)
    assert not service.live.catch_up()


def test_a_task_that_is_gone_keeps_nothing_up_for_long(photos):
    studio = FakeStudio()
    service = service_of(studio)
    first, second, third, *_ = studio.queue(service.claim.project)
    del studio.tasks[second["id"]]
    studio.predictions = [p for p in studio.predictions if p["task"] != second["id"]]
    studio.annotate(first, photos[first["data"]["instance"]])
    with pytest.raises(RefusedError, match="invalid"):
        service.live.catch_up()
    assert service.live.catch_up()
    assert studio.queue(service.claim.project)[0] is third


def test_a_task_that_was_deleted_and_imported_anew_gets_predictions(photos):
    studio = FakeStudio()
    service = service_of(studio)
    first = studio.queue(service.claim.project)[0]
    del studio.tasks[first["id"]]
    studio.predictions = [p for p in studio.predictions if p["task"] != first["id"]]
    again = studio.add_task(service.claim.project, first["data"])
    assert service.live.catch_up(everything=True)
    assert studio.queue(service.claim.project)[0] is again


def test_after_label_studio_was_down_all_is_read(photos):
    studio = FakeStudio()
    service = service_of(studio)
    label_next(studio, service, photos, 2)
    studio.down = True
    with pytest.raises(UnreachableError):
        service.live.catch_up()
    studio.down = False
    done = next(task for task in studio.tasks.values() if task["annotations"])
    done["annotations"].clear()  # restored from a copy of its database
    done["updated_at"] = LONG_AGO
    assert service.live.catch_up()
    assert service.live.state.n_labelled == 1


def test_answers_that_are_none_of_label_studio_leave_the_labels_as_they_are(photos):
    studio = FakeStudio()
    service = service_of(studio)
    label_next(studio, service, photos, 3)
    before, good = service.live.state.labels.content(), studio._tasks
    some = list(studio.tasks.values())
    for answer in (
        [], {}, {"tasks": None, "total": 0}, {"tasks": [{}], "total": 1},
        {"tasks": [{**some[0], "annotations": 5}], "total": 1},
        {"tasks": [{**some[0], "updated_at": "yesterday"}], "total": 1},
    ):  # fmt: skip
        studio._tasks = lambda *asked, answer=answer: (200, answer)
        with pytest.raises(RefusedError, match="not Label Studio"):
            service.live.catch_up(everything=True)
    studio._tasks = good
    assert not service.live.catch_up()
    assert service.live.state.labels.content() == before


def test_labels_of_several_tasks_of_an_instance_are_those_of_their_export(photos):
    studio = FakeStudio()
    service = service_of(studio)
    first, second, third = studio.queue(service.claim.project)[:3]
    twin = studio.add_task(service.claim.project, first["data"])
    early = studio.annotate(first, "0")
    for task, label in ((second, "1"), (twin, "1"), (third, "2")):
        studio.annotate(task, label)
    studio.change(first, early, "2")
    service.live.catch_up()
    asked = [{**t, "data": t["data"]} for t in studio.tasks.values() if t["annotations"]]
    exported = read_json_export(json.dumps(asked).encode(), "export.json")
    counted = {annotation.instance: annotation.label for annotation in exported}
    labels, names = service.live.state.labels, service.live.campaign.data.names
    found = zip(labels.indices.tolist(), labels.labels.tolist(), strict=True)
    assert [(names[i], CLASSES[label]) for i, label in found] == list(counted.items())


def test_what_was_labelled_earlier_keeps_its_place_when_it_is_corrected():
    earlier = PoolLabels(np.array([4, 2]), np.array([0, 1]), np.array([], np.int64))
    time = datetime(2026, 11, 28, tzinfo=UTC), 1
    found = pool_labels(earlier, [LabelledTask(9, 4, label=1, place=time, changed=time)])
    assert found.indices.tolist() == [4, 2]
    assert found.labels.tolist() == [1, 1]


def test_images_that_are_left_out_are_not_taken_for_others(photos):
    config = config_of("dataset.n_train=20")
    data = config.dataset.partly_labelled(Path("cache"), QUIET)
    assert data.absent == photos.keys() - set(data.names)
    reader = TaskReader(["a/1.png"], data.pool, CLASSES, "http://studio", ["b/1.png"])
    uploaded = "/data/upload/1/0a1b2c3d-1.png"
    assert reader.read({"id": 1, "data": {"image": uploaded}}).index is None
    assert reader.read({"id": 1, "data": {"image": f"/data/a/{'1.png'}"}}).index == 0


def test_an_instance_may_be_named_by_a_number_and_the_choice_be_called_model():
    choice = [{**result_of("2")[0], "from_name": NOTE}]
    note = {"from_name": NOTE, "type": "textarea", "value": {"text": ["2, probability 0.9"]}}
    annotation = {**ANNOTATION, "result": [*choice, note]}
    found = reader_of("1", "2").read(
        {"id": 3, "data": {"instance": 2}, "annotations": [annotation]}
    )
    assert (found.index, found.label) == (1, 2)


def test_a_damaged_table_of_scores_is_written_anew(photos):
    studio = FakeStudio()
    service = service_of(studio)
    label_next(studio, service, photos, 7)
    service.live.keep()
    path = service.live.campaign.folder / "progress.csv"
    whole = path.read_bytes()
    path.write_bytes(whole + b"x,\xff\n" + whole.splitlines()[1].replace(b"7", b"seven"))
    label_next(studio, service, photos, 1)
    service.live.keep()
    rows = list(csv.DictReader(io.StringIO(path.read_text())))
    assert [row["n_labelled"] for row in rows] == ["7", "8"]
