"""``task=serve``: the queue of Label Studio, chosen by a strategy that learns with every label."""

import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from alupdate.config import LabelStudioConfig, RunConfig, ServeTask
from alupdate.data.dataset import Vectors
from alupdate.data.own_data import OwnData, PartlyLabelled
from alupdate.labelling.campaign import (
    Campaign,
    check_labelling,
    locked_folder,
    open_campaign,
    read_labels,
)
from alupdate.labelstudio.client import LabelStudio, RefusedError, UnreachableError
from alupdate.labelstudio.listening import Place, listening_at, secret, served
from alupdate.labelstudio.live import Live
from alupdate.labelstudio.project import (
    UNCERTAINTY,
    WHAT_TO_SET,
    Claim,
    add_tasks,
    check_classes,
    claimed,
    connect,
    create_project,
    earlier_project,
    interface_of,
    project_folder,
    serve_files,
    served_files,
)
from alupdate.labelstudio.server import ACTIONS, Backend
from alupdate.labelstudio.versions import Versions
from alupdate.utils.display import Display
from alupdate.utils.errors import InputError, explain_os_error

API_KEY = "LABEL_STUDIO_API_KEY"
"""The environment variable with the token of a Label Studio user."""
SECONDS_WITHOUT_NEWS = 1.0
"""Between two looks, at most, where Label Studio does not call this program."""
FULL_EVERY, TIDY_EVERY = 600.0, 3600.0
"""Seconds between two readings of all tasks, and between two deletions of old predictions."""


def serve(config: RunConfig, display: Display) -> None:
    """Follow a Label Studio project until interrupted.

    Raises:
        InputError: the command, the data or the project are wrong, or Label Studio does not answer.
        KeyboardInterrupt: the usual end.
    """
    check_labelling(config)
    assert isinstance(config.task, ServeTask)
    settings = config.labelstudio
    token = secret(settings.token, "labelstudio.token", API_KEY)
    if token is None:
        raise InputError(f"labelstudio.token: a value is required; give it, or set ${API_KEY}")
    place = Place.of(config.task)
    studio = LabelStudio(settings.url, token)
    with closing(studio), locked_folder(config) as folder, listening_at(place) as listening:
        try:
            display.say(f"Label Studio {studio.version()} at {settings.url}")
            service = Service.of(config, settings, studio, folder, display)
            backend = Backend(service.live, service.claim, service.name, place)
            with served(backend.app, listening):
                service.follow(place, config.task.every)
        except UnreachableError as error:
            raise InputError(str(error)) from error


@dataclass(frozen=True)
class Service:
    """A pool and its project in Label Studio.

    Attributes:
        studio: Label Studio.
        live: follows the project.
        claim: the project's number, and this backend's name there.
        name: of the pool, for people.
        display: shows progress.
    """

    studio: LabelStudio
    live: Live
    claim: Claim
    name: str
    display: Display

    @classmethod
    def of(
        cls,
        config: RunConfig,
        settings: LabelStudioConfig,
        studio: LabelStudio,
        folder: Path,
        display: Display,
    ) -> "Service":
        """Prepare features and project; nothing is made in Label Studio before the features.

        Args:
            config: of the command.
            settings: of Label Studio.
            studio: Label Studio.
            folder: of the campaign.
            display: shows progress.

        Raises:
            InputError: data and project do not go together, or Label Studio refuses something.
            UnreachableError: it does not answer.
        """
        dataset = config.dataset
        assert isinstance(dataset, OwnData)
        found = _project(settings, studio, folder)
        if found is not None:
            classes = interface_of(found).classes
            check_classes(dataset.classes, classes, int(found["id"]))
            dataset = replace(dataset, classes=classes)
            config = replace(config, dataset=dataset)
        data, labels_file = read_labels(config, folder, display)
        _check_data(data)
        campaign = open_campaign(config, folder, data, labels_file, display)
        files = served_files(settings, data)
        project = create_project(studio, data, campaign.name) if found is None else found
        claim = claimed(folder, project, made=found is None)
        number = claim.project
        if project.get("sampling") != UNCERTAINTY:
            studio.change_project(number, {"sampling": UNCERTAINTY})
            display.say(f"note: the task sampling of project {number} is now {UNCERTAINTY}")
        display.say(f"project {number}: {studio.url}/projects/{number}")
        live = _live(campaign, studio, claim, folder)
        missing = live.without_task()
        if claim.made and files is not None:
            serve_files(studio, number, files)
        if claim.made and missing:
            add_tasks(studio, number, data, missing, files, display)
        return cls(studio, live, claim, campaign.name, display)

    def follow(self, place: Place, every: float) -> None:
        """Write predictions, connect the project with this program, and look for annotations.

        Args:
            place: where this program listens.
            every: seconds between two looks for annotations that were not announced.
        """
        for _ in range(2):  # what was imported just now is read twice, and not while labels wait
            self.live.catch_up()
        if not self._connected(place):
            every = min(every, SECONDS_WITHOUT_NEWS)
        self.display.say(f"ready: {place.address} shows how far the labelling is; Ctrl-C ends it")
        full, tidy = Due(FULL_EVERY), Due(TIDY_EVERY, time.monotonic() - TIDY_EVERY)
        try:
            while True:
                catch_up = partial(self.live.catch_up, everything=full.is_now())
                now_and_then = [self.live.tidy] if tidy.is_now() else []
                self._take([catch_up, self.live.check_alone, self.live.keep, *now_and_then])
                time.sleep(every)
        finally:
            self.live.keep(self.display)

    def _connected(self, place: Place) -> bool:
        """Let Label Studio call this program; False where it does not call such an address."""
        try:
            connect(self.studio, self.claim.project, place.address, place.token, ACTIONS)
        except RefusedError as error:
            self.display.complain(
                f"note: {error}; {WHAT_TO_SET}. Without that, annotations are looked for every "
                "second"
            )
            return False
        return True

    def _take(self, steps: Sequence[Callable[[], object]]) -> None:
        """Take steps that are taken again later; what keeps them from succeeding is said once."""
        trouble = "; ".join(dict.fromkeys(filter(None, map(_trouble, steps))))
        if trouble and trouble != self.live.trouble:
            self.display.complain(f"note: {trouble}; trying again")
        self.live.trouble = trouble


def _trouble(step: Callable[[], object]) -> str:
    """Take a step, and return what kept it from succeeding; empty where nothing did."""
    try:
        step()
    except (UnreachableError, RefusedError) as error:
        return str(error)
    except OSError as error:  # such as a full disk
        return explain_os_error(error)
    return ""


class Due:
    """Says now and then that it is time."""

    def __init__(self, every: float, last: float | None = None) -> None:
        self._every = every
        self._last = time.monotonic() if last is None else last

    def is_now(self) -> bool:
        """Return whether the time has come; it then begins anew."""
        now = time.monotonic()
        if now - self._last < self._every:
            return False
        self._last = now
        return True


def _project(
    settings: LabelStudioConfig, studio: LabelStudio, folder: Path
) -> dict[str, Any] | None:
    """Return the project that the command names, or that an earlier one made; None for neither."""
    if settings.project is None:
        return earlier_project(studio, folder)
    try:
        return studio.project(settings.project)
    except RefusedError as error:
        raise InputError(f"labelstudio.project={settings.project}: {error}") from error


def _check_data(data: PartlyLabelled) -> None:
    if isinstance(data.pool, Vectors):
        raise InputError("task=serve: people cannot see vectors; use images or texts")
    if len(data.classes) < 2:
        raise InputError(
            "dataset.classes: are needed to make a project, as in dataset.classes=[cat,dog]"
        )


def _live(campaign: Campaign, studio: LabelStudio, claim: Claim, folder: Path) -> Live:
    number = claim.project
    used = [str(version.get("model_version")) for version in studio.model_versions(number)]
    controls = interface_of(studio.project(number)).controls
    place = replace(campaign, folder=project_folder(folder, number))
    return Live(place, studio, number, controls, Versions(claim.backend, used))
