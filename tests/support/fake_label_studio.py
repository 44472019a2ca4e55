"""A Label Studio in memory: the part of its HTTP API that is used, and what annotators do."""

import json
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import httpx
from PIL import Image

from alupdate.data.arrays import digits
from alupdate.data.label_studio_exports import CONTROL, NOTE
from alupdate.labelstudio.client import LabelStudio

TOKEN = "0123456789"
CLASSES = ("0", "1", "2")


@dataclass
class FakeStudio:
    """One project or several, with a clock that runs a second per change."""

    projects: dict[int, dict[str, Any]] = field(default_factory=dict)
    tasks: dict[int, dict[str, Any]] = field(default_factory=dict)
    predictions: list[dict[str, Any]] = field(default_factory=list)
    hooks: list[dict[str, Any]] = field(default_factory=list)
    backends: list[dict[str, Any]] = field(default_factory=list)
    storages: list[dict[str, Any]] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    calls_local: bool = True
    serves_files: bool = True
    down: bool = False
    says_time: bool = True
    pages: list[int] = field(default_factory=list)
    after_page: Callable[[int], None] = lambda page: None
    clock: datetime = datetime(2026, 11, 28, tzinfo=UTC)
    numbers: int = 0

    def client(self, token=TOKEN):
        """Return a client of this Label Studio."""
        return LabelStudio("http://studio", token, httpx.MockTransport(self.handle))

    def handle(self, request):
        """Answer a request."""
        path = request.url.path.rstrip("/")
        self.requests.append(f"{request.method} {path}")
        if self.down:
            raise httpx.ConnectError("connection refused", request=request)
        if request.headers.get("authorization") != f"Token {TOKEN}":
            return httpx.Response(401, json={"detail": "Invalid token."})
        content = json.loads(request.content) if request.content else {}
        _, _, kind, *rest = path.split("/")
        status, answer = getattr(self, f"_{kind}")(request, rest, content)
        headers = {"date": format_datetime(self.clock, usegmt=True)} if self.says_time else {}
        return httpx.Response(status, json=answer, headers=headers)

    def _version(self, request, rest, content):
        return 200, {"release": "1.23.2"}

    def _projects(self, request, rest, content):
        if not rest:
            return 201, self._new_project(content)
        number = int(rest[0])
        if number not in self.projects:
            return 404, {"detail": "No Project matches the given query."}
        if len(rest) > 1:
            return getattr(self, f"_{rest[-1].replace('-', '_')}")(request, number, content)
        version = content.get("model_version")
        if version and all(p["model_version"] != version for p in self.predictions):
            return 400, {"model_version": ["Model version doesn't exist"]}
        self.projects[number] |= content
        return 200, self.projects[number]

    def _import(self, request, number, content):
        for task in content:
            self.add_task(number, task["data"])
        return 201, {"task_count": len(content)}

    def _predictions(self, request, number, content):
        if any(prediction["task"] not in self.tasks for prediction in content):
            return 400, {"non_field_errors": ['contains invalid "task" field']}
        for prediction in content:
            self.predictions.append({**prediction, "latest": self.now()})
        return 201, {"created": len(content)}

    def _new_project(self, content):
        number = self._number()
        root = httpx.Response(200, text=content["label_config"]).text
        labels = [part.split('"')[0] for part in root.split('<Choice value="')[1:]]
        shown = "image" if "<Image" in root else "text"
        control = {"type": "Choices", "to_name": [shown], "labels": labels}
        self.projects[number] = {
            "id": number,
            "created_at": self.now(),
            "model_version": "",
            "parsed_label_config": {CONTROL: control, NOTE: {"type": "TextArea"}},
            **content,
        }
        return self.projects[number]

    def _model_versions(self, request, number, content):
        if request.method == "DELETE":
            version = content["model_version"]
            self.predictions = [p for p in self.predictions if p["model_version"] != version]
            return 200, {}
        latest = {p["model_version"]: p["latest"] for p in self.predictions}
        return 200, {"static": [{"model_version": k, "latest": v} for k, v in latest.items()]}

    def _tasks(self, request, rest, content):
        query = request.url.params
        found = [t for t in self.tasks.values() if t["project"] == int(query["project"])]
        if "query" in query:
            (changed,) = json.loads(query["query"])["filters"]["items"]
            found = [task for task in found if task["updated_at"] > changed["value"]]
        size, page = int(query["page_size"]), int(query["page"])
        self.pages.append(len(found[size * (page - 1) : size * page]))
        answer = deepcopy(found[size * (page - 1) : size * page])
        self.after_page(page)
        return 200, {"total": len(found), "tasks": answer}

    def _ml(self, request, rest, content):
        if request.method == "GET":
            return 200, self.backends
        if not self.calls_local:
            return 400, {"validation_errors": {"url": ["URL resolves to a reserved address"]}}
        if request.method == "PATCH":
            (known,) = (b for b in self.backends if b["id"] == int(rest[0]))
            known |= content
            return 200, known
        self.backends.append({**content, "id": self._number()})
        return 201, self.backends[-1]

    def _webhooks(self, request, rest, content):
        if request.method == "POST":
            self.hooks.append({**content, "id": self._number()})
        return 200, self.hooks

    def _storages(self, request, rest, content):
        if request.method == "GET":
            return 200, self.storages
        if not self.serves_files:
            return 400, {"detail": "Serving local files can be dangerous, so it's disabled"}
        self.storages.append(content)
        return 201, content

    def _number(self):
        self.numbers += 1
        return self.numbers

    def now(self):
        """Return the time, a second later each time."""
        self.clock += timedelta(seconds=1)
        return self.clock.strftime("%Y-%m-%dT%H:%M:%S.%fZ")

    def add_task(self, project, data):
        """Add a task and return it."""
        task = {"id": self._number(), "project": project, "data": data, "annotations": []}
        self.tasks[task["id"]] = task | {"updated_at": self.now()}
        return self.tasks[task["id"]]

    def annotate(self, task, label, user=1, **more):
        """Add an annotation and return it."""
        now = self.now()
        annotation = {
            "id": self._number(),
            "completed_by": user,
            "created_at": now,
            "updated_at": now,
            "was_cancelled": False,
            "result": result_of(label),
            **more,
        }
        task["annotations"].append(annotation)
        task["updated_at"] = now
        return annotation

    def change(self, task, annotation, label):
        """Change the class of an annotation."""
        task["updated_at"] = annotation["updated_at"] = self.now()
        annotation["result"] = result_of(label)

    def delete(self, task, annotation):
        """Delete an annotation."""
        task["updated_at"] = self.now()
        task["annotations"].remove(annotation)

    def queue(self, project):
        """Return the tasks that are served, in order, by the sampling with the lowest score."""
        version = self.projects[project]["model_version"]
        current = [p for p in self.predictions if p["model_version"] == version]
        waiting = sorted(current, key=lambda prediction: prediction["score"])
        tasks = [self.tasks[prediction["task"]] for prediction in waiting]
        return [task for task in tasks if not task["annotations"]]


def result_of(label):
    """Return what an annotation says that chooses a class."""
    return [
        {
            "from_name": CONTROL,
            "to_name": "image",
            "type": "choices",
            "value": {"choices": [label]},
        }
    ]


def make_photos(folder, n_pool=60, n_test=30):
    """Write images of three digits: a pool without labels and a test set; return the truth."""
    data = digits()
    kept = [i for i, label in enumerate(data.train_labels) if str(label) in CLASSES]
    truth = {}
    for number, index in enumerate(kept[: n_pool + n_test]):
        label, image = str(data.train_labels[index]), data.train.rows[index]
        place = "train/unlabelled" if number < n_pool else f"test/{label}"
        path = folder / place / f"{number:03d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray((image[..., 0] * 15).astype("uint8")).save(path)
        if number < n_pool:
            truth[f"{place}/{path.name}"] = label
    return truth
