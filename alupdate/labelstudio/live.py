"""What is labelled in a Label Studio project, learned from at once, and what comes next there."""

import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from alupdate.data.dataset import IntArray
from alupdate.data.labels_file import NEW_HEADER, SKIPPED
from alupdate.data.own_data import PartlyLabelled
from alupdate.data.pool import Pool
from alupdate.experiment.selection import Selector
from alupdate.labelling.campaign import LABELS, Campaign
from alupdate.labelling.expected import CampaignForecaster
from alupdate.labelling.label_studio_tasks import (
    Controls,
    Guess,
    asked_score,
    prediction,
    queue_score,
)
from alupdate.labelling.outcome import keep_outcome
from alupdate.labelling.suggester import Suggestions
from alupdate.labelstudio.annotations import (
    LabelledTask,
    PoolLabels,
    TaskReader,
    pool_labels,
)
from alupdate.labelstudio.client import (
    NOT_FOUND,
    LabelStudio,
    RefusedError,
    TaskData,
    UnreachableError,
)
from alupdate.labelstudio.versions import Versions
from alupdate.models.learner import Model
from alupdate.results.forecasts import Forecast
from alupdate.results.records import csv_text
from alupdate.utils.display import Display
from alupdate.utils.errors import InputError
from alupdate.utils.files import replace_file

TIME = "%Y-%m-%dT%H:%M:%S.%fZ"
"""How Label Studio writes times."""
OVERLAP = timedelta(seconds=5)
"""By how much two readings of changes overlap: Label Studio's clock runs while it writes."""
MORE_THAN_ANNOTATORS = 5
"""Tasks with predictions beyond one for each annotator: Label Studio reserves those on screen."""
REMEMBERED = 1000
"""Latencies that are kept."""


@dataclass(frozen=True)
class QueueState:
    """How far the labelling is.

    Attributes:
        version: the model version of the predictions in Label Studio; empty before the first.
        labels: of the pool.
        n_tasks: tasks of the project that are about instances of the pool.
        n_foreign: tasks that are not.
        problems: annotations that do not count, a line each.
        annotators: users who have annotated.
    """

    version: str
    labels: PoolLabels
    n_tasks: int
    n_foreign: int
    problems: tuple[str, ...]
    annotators: frozenset[int]

    @property
    def n_labelled(self) -> int:
        """How many instances are labelled."""
        return len(self.labels.indices)


@dataclass(frozen=True)
class Latency:
    """How long it took from the news of an annotation to the new predictions in Label Studio.

    Attributes:
        at: seconds since 1970.
        seconds: that it took.
    """

    at: float
    seconds: float


class Live:
    """Follows the annotations of a project: reads, learns, chooses, and writes predictions.

    The annotations in Label Studio decide everything; nothing is kept here that could differ from
    them. The methods may be called from any thread.

    Attributes:
        forecaster: says what to expect of the model.
        state: how far the labelling is.
        latencies: of the latest annotations.
        trouble: what keeps Label Studio from being asked; empty where nothing does.
    """

    def __init__(
        self,
        campaign: Campaign,
        studio: LabelStudio,
        project: int,
        controls: Controls,
        versions: Versions,
    ) -> None:
        """Make ready; nothing is read yet.

        Args:
            campaign: the pool with the labels that are not from the project, and where to keep the
                outcome.
            studio: Label Studio.
            project: its number there.
            controls: that predictions fill in.
            versions: names the predictions.
        """
        self._campaign, self._studio, self._project = campaign, studio, project
        self._controls, self._versions = controls, versions
        data = campaign.data
        self._reader = TaskReader(data.names, data.pool, data.classes, studio.url, data.absent)
        self._earlier = PoolLabels(data.indices, data.labels, data.skipped)
        self._suggester = campaign.suggester(Selector(campaign.config))
        self.forecaster = CampaignForecaster(campaign, self._suggester)
        self._forecast: tuple[tuple[bytes, ...], Forecast | None] | None = None
        self._lock, self._estimating = threading.RLock(), threading.Lock()
        self._tasks: dict[int, LabelledTask] = {}
        self._since: str | None = None
        self._read_at = -np.inf
        self._published: tuple[bytes, ...] = ()
        self._kept: tuple[bytes, ...] = ()
        self.state = QueueState("", self._earlier, 0, 0, (), frozenset())
        self.trouble = ""
        self.latencies: deque[Latency] = deque(maxlen=REMEMBERED)

    @property
    def campaign(self) -> Campaign:
        """The pool with the labels of the moment."""
        labels = self.state.labels
        data = replace(
            self._campaign.data,
            indices=labels.indices,
            labels=labels.labels,
            skipped=labels.skipped,
        )
        return replace(self._campaign, data=data)

    def catch_up(self, arrived: float | None = None, *, everything: bool = False) -> bool:
        """Read the annotations, and write new predictions where labels have changed.

        Args:
            arrived: when the news of an annotation came, by ``time.monotonic``; where the
                annotations have been read since then, nothing is done.
            everything: whether all tasks are read, and not only those that have changed.

        Returns:
            Whether there were changes.

        Raises:
            UnreachableError, RefusedError: of Label Studio; the next call makes up for it.
        """
        whole = self._whole() if everything or self._since is None else None
        with self._lock:
            if whole is None and arrived is not None and self._read_at >= arrived:
                return False
            read_at = time.monotonic()
            try:
                self._tasks, self._since = whole or (self._tasks, self._since)
                self._read_changes()
                changed = self._publish()
            except (UnreachableError, RefusedError):  # Label Studio may be another one by then
                self._since = None
                raise
            self._read_at = read_at
        if changed and arrived is not None:
            self.latencies.append(Latency(time.time(), time.monotonic() - arrived))
        return changed

    def without_task(self) -> list[int]:
        """Return the instances that are not labelled and of which the project has no task."""
        whole = self._whole()
        with self._lock:
            self._tasks, self._since = whole
            known = {task.index for task in self._tasks.values()} | set(self._earlier.indices)
        return [index for index in range(len(self._campaign.data.names)) if index not in known]

    def check_alone(self) -> None:
        """Make sure that the project is there, and that no other backend chooses for it.

        Raises:
            InputError: it is gone, or another one does.
        """
        try:
            version = str(self._studio.project(self._project).get("model_version") or "")
        except RefusedError as error:
            if error.status == NOT_FOUND:
                raise InputError(f"labelstudio.project={self._project}: is gone") from error
            raise
        if self._versions.is_of_another(version):
            raise InputError(
                f"labelstudio.project={self._project}: another backend has taken over, as its "
                f"model version {version} says; stop one of them"
            )

    def tidy(self) -> None:
        """Delete predictions of this backend that nobody has on screen any more."""
        found = self._studio.model_versions(self._project)
        for version in self._versions.outdated(found, self.state.version):
            self._studio.delete_predictions(self._project, version)

    def _whole(self) -> tuple[dict[int, LabelledTask], str | None]:
        """Read all tasks, and return them with the time from which on they may have changed.

        It can take long, so that news of annotations are answered meanwhile; what they change is
        read again afterwards.
        """
        return self._read(None, {})

    def _read_changes(self) -> None:
        """Bring the tasks up to date."""
        self._tasks, self._since = self._read(self._since, self._tasks)

    def _read(
        self, since: str | None, former: dict[int, LabelledTask]
    ) -> tuple[dict[int, LabelledTask], str | None]:
        reading = self._studio.tasks(self._project, since)
        tasks = former | {int(task["id"]): self._reader.read(task) for task in reading.tasks}
        if reading.began is not None:
            return tasks, before(reading.began.isoformat())
        times = [str(task["updated_at"]) for task in reading.tasks if task.get("updated_at")]
        return tasks, before(max(times)) if times else since

    def _publish(self) -> bool:
        """Write predictions for what comes next, where that may have changed."""
        tasks = self._tasks.values()
        labels = pool_labels(self._earlier, tasks)
        self.state = replace(
            self.state,
            labels=labels,
            n_tasks=sum(task.index is not None for task in tasks),
            n_foreign=sum(task.index is None for task in tasks),
            problems=tuple(
                task.problem for task in tasks if task.problem and task.index is not None
            ),
            annotators=frozenset[int]().union(*(task.annotators for task in tasks)),
        )
        passed_over = self._passed_over(labels)
        count = self._count()
        numbers = np.array(sorted(self._tasks), np.int64)  # also of one imported anew
        now = (*labels.content(), passed_over.tobytes(), numbers.tobytes(), str(count).encode())
        if now == self._published:
            return False
        version = self._versions.next(self.state.n_labelled)
        chosen = self._suggester.upcoming(_pool(self._campaign, labels), passed_over, count)
        predictions = self._predictions(chosen, version)
        if predictions:  # Label Studio refuses the version of no prediction
            self._studio.write_predictions(self._project, predictions)
            self._studio.change_project(self._project, {"model_version": version})
        self._published = now
        self.state = replace(self.state, version=version)
        return True

    def _passed_over(self, labels: PoolLabels) -> IntArray:
        """Return the instances (S,) that are not chosen: skipped, or without a task to label."""
        has_task = np.zeros(len(self._campaign.data.names), dtype=bool)
        has_task[[task.index for task in self._tasks.values() if task.index is not None]] = True
        has_task[labels.skipped] = False
        return np.flatnonzero(~has_task)

    def _count(self) -> int:
        """Return how many tasks get predictions."""
        least = len(self.state.annotators) + MORE_THAN_ANNOTATORS
        return max(self._campaign.config.batch.size, least)

    def _predictions(self, chosen: Suggestions, version: str) -> list[dict[str, Any]]:
        """Return the predictions of a batch; Label Studio serves the lowest score first."""
        ranks = {int(index): rank for rank, index in enumerate(chosen.indices)}
        found = []
        for task in self._tasks.values():
            rank = -1 if task.index is None else ranks.get(task.index, -1)
            if rank >= 0:
                shares = None if chosen.probabilities is None else chosen.probabilities[rank]
                found.append(
                    {"task": task.task, **self._prediction(shares, queue_score(rank), version)}
                )
        return found

    def _prediction(
        self, probabilities: NDArray[np.floating] | None, score: float, version: str
    ) -> dict[str, Any]:
        guess = None
        if probabilities is not None:
            classes = self._campaign.data.classes
            guess = Guess.of(probabilities, classes, self.state.n_labelled)
        return prediction(self._controls, score, version, guess)

    def predicted(self, tasks: Sequence[TaskData]) -> list[dict[str, Any]]:
        """Return the predictions that Label Studio asks for; they come behind those chosen.

        Args:
            tasks: as Label Studio describes them.

        Raises:
            InputError: one is about no instance of the pool.
        """
        found = [self._reader.read(task) for task in tasks]
        foreign = [task for task in found if task.index is None]
        if foreign:
            raise InputError(foreign[0].problem)
        with self._lock:
            version, model = self.state.version, self._model()
            indices = [task.index for task in found if task.index is not None]
            shares = None if model is None else _probabilities(model, indices)
        if shares is None:
            return [self._prediction(None, 1.0, version) for _ in found]
        return [self._prediction(row, asked_score(float(row.max())), version) for row in shares]

    def _model(self) -> Model | None:
        """Return the model after all labels; None while there are too few."""
        pool = _pool(self._campaign, self.state.labels)
        return self._suggester.model(pool) if self._suggester.is_ready(pool) else None

    def forecast(self) -> Forecast | None:
        """Return what is expected of the model; None while there are too few labels for one."""
        with self._estimating:  # once for all who look at the page
            with self._lock:
                labels = self.state.labels
                if self._forecast is not None and self._forecast[0] == labels.content():
                    return self._forecast[1]
                model = self._model()
            pool = _pool(self._campaign, labels)
            found = None if model is None else self.forecaster.forecast_of(pool, model)
            self._forecast = labels.content(), found
            return found

    def keep(self, display: Display | None = None) -> None:
        """Write the labels and the model to the campaign's folder, if they have changed.

        Args:
            display: says where the model is; None for nobody.
        """
        with self._lock:
            labels = self.state.labels
            if labels.content() == self._kept:
                return
            campaign = self.campaign
            text = labels_csv(campaign.data)
            replace_file(campaign.folder / LABELS, text)
            keep_outcome(campaign, self._suggester, display or Display(enabled=False))
            self._kept = labels.content()


def _pool(campaign: Campaign, labels: PoolLabels) -> Pool:
    return Pool.unlabelled(len(campaign.data.names)).label(labels.indices, labels.labels)


def _probabilities(model: Model, indices: list[int]) -> NDArray[np.floating]:
    rows = model.pool[torch.tensor(indices, dtype=torch.int64)]
    return torch.softmax(model.posterior.logits(rows), dim=1).numpy(force=True)


def labels_csv(data: PartlyLabelled) -> str:
    """Return a labels file of all labels in their order, and of what was skipped."""
    labels = zip(data.indices.tolist(), data.labels.tolist(), strict=True)
    rows = [[data.names[index], data.classes[label], ""] for index, label in labels]
    rows += [[data.names[index], "", SKIPPED] for index in data.skipped.tolist()]
    return csv_text(NEW_HEADER, rows)


def before(time_of_change: str) -> str:
    """Return a time a little before one that Label Studio gave, in the form that it takes.

    Example:
        >>> before("2026-11-28T02:03:40.443307Z")
        '2026-11-28T02:03:35.443307Z'
        >>> before("2026-11-28T05:03:40+03:00")
        '2026-11-28T02:03:35.000000Z'
    """
    return (datetime.fromisoformat(time_of_change).astimezone(UTC) - OVERLAP).strftime(TIME)
