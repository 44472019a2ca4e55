"""A project of Label Studio for a pool: made from nothing, or found and checked."""

import json
import os
import secrets
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import TypeAdapter, ValidationError

from alupdate.config import LabelStudioConfig
from alupdate.data.dataset import Images, kind_of
from alupdate.data.label_studio_exports import NOTE
from alupdate.data.own_data import PartlyLabelled
from alupdate.labelling.label_studio_tasks import (
    Controls,
    labelling_config,
    local_folder,
    task_data,
)
from alupdate.labelstudio.client import NOT_FOUND, LabelStudio, RefusedError, TaskData
from alupdate.utils.display import Display
from alupdate.utils.errors import InputError
from alupdate.utils.files import regular_bytes, replace_file

UNCERTAINTY = "Uncertainty sampling"
"""The sampling with which Label Studio serves the task of the lowest prediction score."""
DOCUMENT_ROOT = "LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT"
"""The environment variable with the folder that Label Studio serves files of."""
AT_ONCE = 500
"""Tasks that are imported by one request."""
LARGEST_REQUEST = 16 * 2**20
"""Bytes of tasks in one request, roughly."""
FOLDER, CLAIM = "labelstudio-", "backend.json"
"""Of a project's files, and the one that says whose they are."""
LONGEST_NAME = 39
"""Characters of a pool's name in the title of a project, which may have 50."""
WHAT_TO_SET = (
    "start Label Studio with ML_BLOCK_LOCAL_IP=false and SSRF_PROTECTION_ENABLED=false, so that it "
    "calls programs on this machine"
)


@dataclass(frozen=True)
class Interface:
    """With what the labels of a project are given.

    Attributes:
        controls: their names.
        classes: that can be chosen.
    """

    controls: Controls
    classes: tuple[str, ...]


def interface_of(project: Mapping[str, Any]) -> Interface:
    """Return the choice of classes in a project's labelling configuration.

    Raises:
        InputError: there is none, or more than one.
    """
    where = f"labelstudio.project={project['id']}"
    found = project.get("parsed_label_config") or {}
    choices = {name: part for name, part in found.items() if part.get("type") == "Choices"}
    if len(choices) != 1:
        raise InputError(
            f"{where}: its labelling configuration has {len(choices)} Choices; it needs one, with "
            "the classes"
        )
    ((name, part),) = choices.items()
    classes = tuple(str(label) for label in part.get("labels", ()))
    if len(classes) < 2:
        raise InputError(f"{where}: its Choices have {len(classes)} classes; two are needed")
    note = NOTE if found.get(NOTE, {}).get("type") == "TextArea" else None
    return Interface(Controls(name, str(part["to_name"][0]), note), classes)


def check_classes(declared: Sequence[str] | None, offered: Sequence[str], project: int) -> None:
    """Refuse a project whose classes are not the declared ones.

    Args:
        declared: the classes of the data; None for any.
        offered: those that can be chosen in the project.
        project: its number.

    Raises:
        InputError: naming one that differs.
    """
    if declared is None or set(declared) == set(offered):
        return
    ours = sorted(set(declared) - set(offered))
    theirs = sorted(set(offered) - set(declared))
    which = f"lacks {ours[0]}" if ours else f"has {theirs[0]}, too"
    raise InputError(
        f"labelstudio.project={project}: its labelling configuration {which}; give dataset.classes "
        "as they are there, or leave them out"
    )


@dataclass(frozen=True)
class Served:
    """Where image files are that Label Studio shows.

    Attributes:
        folder: of the data.
        root: the folder that Label Studio was started with.
    """

    folder: Path
    root: Path


def create_project(studio: LabelStudio, data: PartlyLabelled, name: str) -> dict[str, Any]:
    """Make a project without tasks, and return it.

    Args:
        studio: Label Studio.
        data: the pool; its classes can be chosen.
        name: of the pool.
    """
    return studio.create_project(
        {
            "title": f"{name[:LONGEST_NAME]} (alupdate)",
            "label_config": labelling_config(data.classes, kind_of(data.pool), "task=serve"),
            "sampling": UNCERTAINTY,
            "show_collab_predictions": True,
        }
    )


def add_tasks(
    studio: LabelStudio,
    project: int,
    data: PartlyLabelled,
    indices: Sequence[int],
    served: Served | None,
    display: Display,
) -> None:
    """Add tasks for instances (n,) of the pool.

    Args:
        studio: Label Studio.
        project: its number there.
        data: the pool.
        indices: of the instances.
        served: image files, if the pool has any.
        display: shows progress.
    """
    root = None if served is None else served.root
    tasks = ({"data": task_data(data, index, root)} for index in indices)
    with display.progress("tasks", len(indices)) as advance:
        for part in parts(tasks):
            studio.import_tasks(project, part)
            advance(len(part), "")


def served_files(settings: LabelStudioConfig, data: PartlyLabelled) -> Served | None:
    """Return where image files are that Label Studio can show; None where there are none.

    Args:
        settings: may name the folder that Label Studio serves files of.
        data: the pool.

    Raises:
        InputError: the data are not in that folder.
    """
    folder = local_folder(data.pool) if isinstance(data.pool, Images) else None
    if folder is None:
        return None
    root = settings.document_root or os.environ.get(DOCUMENT_ROOT) or str(folder.parent)
    top = Path(os.path.abspath(root))
    if top not in folder.parents:
        raise InputError(
            f"labelstudio.document_root={root}: must be a folder around {folder}, and the one that "
            f"Label Studio was started with as {DOCUMENT_ROOT}"
        )
    return Served(folder, top)


def serve_files(studio: LabelStudio, project: int, served: Served) -> None:
    """Let Label Studio show image files in a project, unless it does so already.

    Raises:
        InputError: it does not serve these files.
    """
    if any(known.get("path") == str(served.folder) for known in studio.local_storages(project)):
        return
    settings = {"project": project, "path": str(served.folder), "use_blob_urls": True}
    try:
        studio.add_local_storage({**settings, "title": "alupdate"})
    except RefusedError as error:
        raise InputError(
            f"labelstudio.document_root: Label Studio does not serve {served.folder}; start it "
            f"with LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED=true and {DOCUMENT_ROOT}={served.root} "
            f"({error})"
        ) from error


def parts(tasks: Iterator[TaskData]) -> Iterator[list[TaskData]]:
    """Yield a few tasks after the other, as many as one request may have."""
    part, size = list[TaskData](), 0
    for task in tasks:
        length = len(json.dumps(task))
        if part and (len(part) == AT_ONCE or size + length > LARGEST_REQUEST):
            yield part
            part, size = [], 0
        part.append(task)
        size += length
    if part:
        yield part


@dataclass(frozen=True)
class Claim:
    """Whose a folder is: of a project, for a backend.

    Attributes:
        project: its number.
        created_at: when it was created, which tells it from those of another Label Studio.
        backend: by which name this backend goes there.
        made: whether the project was made for this pool, and gets a task for all its instances.
    """

    project: int
    created_at: str
    backend: str
    made: bool


def read_claim(folder: Path) -> Claim | None:
    """Return whose a folder is; None where nobody's.

    Raises:
        InputError: the file that says so is damaged.
    """
    path = folder / CLAIM
    if not path.is_file():
        return None
    try:
        return TypeAdapter(Claim).validate_json(regular_bytes(path))
    except ValidationError as error:
        raise InputError(f"{path}: is damaged; remove it, or the folder") from error


def claimed(folder: Path, project: Mapping[str, Any], *, made: bool) -> Claim:
    """Make the folder of a project, or check that it is that of this project.

    Args:
        folder: of the campaign.
        project: as Label Studio describes it.
        made: whether it has just been made.

    Raises:
        InputError: the folder is for another project of the same number.
    """
    place = project_folder(folder, int(project["id"]))
    place.mkdir(exist_ok=True)
    found = read_claim(place)
    created_at = str(project.get("created_at"))
    if found is None:
        found = Claim(int(project["id"]), created_at, secrets.token_hex(3), made)
        replace_file(place / CLAIM, json.dumps(asdict(found), indent=2) + "\n")
    elif found.created_at != created_at:
        raise InputError(
            f"{place}: is for another project, as {CLAIM} there says; give another experiment_name"
            ", or move that folder away"
        )
    return found


def project_folder(folder: Path, number: int) -> Path:
    """Return the folder of a project in that of the campaign."""
    return folder / f"{FOLDER}{number}"


def earlier_project(studio: LabelStudio, folder: Path) -> dict[str, Any] | None:
    """Return the project that was made for this campaign by an earlier command, if there is one.

    Raises:
        InputError: there are several.
    """
    found = []
    for place in sorted(folder.glob(f"{FOLDER}*")):
        claim = read_claim(place)
        is_copy = claim is not None and place != project_folder(folder, claim.project)
        if claim is not None and claim.made and not is_copy:
            project = _known(studio, claim)
            found += [] if project is None else [project]
    if len(found) > 1:
        numbers = ", ".join(str(project["id"]) for project in found)
        raise InputError(f"labelstudio.project: there are {numbers} for this pool; give one")
    return found[0] if found else None


def _known(studio: LabelStudio, claim: Claim) -> dict[str, Any] | None:
    try:
        project = studio.project(claim.project)
    except RefusedError as error:
        if error.status == NOT_FOUND:
            return None
        raise
    return project if str(project.get("created_at")) == claim.created_at else None


def connect(
    studio: LabelStudio, project: int, address: str, token: str | None, actions: Collection[str]
) -> None:
    """Let a project call this program: as its backend, and with news of annotations.

    What is connected already gets the present token.

    Args:
        studio: Label Studio.
        project: its number there.
        address: of this program.
        token: that requests to it must carry; Label Studio keeps it with the project.
        actions: of which there shall be news.

    Raises:
        RefusedError: Label Studio does not call such an address.
    """
    hook = f"{address}/webhook"
    number = next((w["id"] for w in studio.webhooks(project) if w.get("url") == hook), None)
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    settings = {
        "project": project,
        "url": hook,
        "send_payload": True,
        "send_for_all_actions": False,
        "actions": sorted(actions),
        "headers": headers,
        "is_active": True,
    }
    # Before the backend: Label Studio then makes no webhook of its own, which has no token.
    studio.put_webhook(number, settings)
    known = (b["id"] for b in studio.backends(project) if _same(str(b.get("url")), address))
    access: dict[str, Any] = {"auth_method": "NONE"}
    if token is not None:
        names = {"basic_auth_user": "label-studio", "basic_auth_pass": token}
        access = {"auth_method": "BASIC_AUTH", **names}
    backend = {"project": project, "url": address, "title": "alupdate", "is_interactive": False}
    studio.put_backend(next(known, None), {**backend, **access})


def _same(first: str, second: str) -> bool:
    return urlsplit(first)[:3] == urlsplit(second)[:3]
