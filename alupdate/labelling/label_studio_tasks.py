"""Tasks of Label Studio: the labelling configuration, a task's data, and what is predicted for it.

Label Studio imports a list of tasks as JSON. Its "Uncertainty sampling" serves the task whose
prediction has the lowest score first, so that scores that grow with the rank keep the order.
"""

import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote
from xml.etree import ElementTree as ET

import numpy as np
from numpy.typing import NDArray

from alupdate.data.dataset import Images, Kind, Texts, kind_of
from alupdate.data.image_files import ImageFiles
from alupdate.data.image_sources import Folder
from alupdate.data.label_studio_exports import CONTROL, INSTANCE, NOTE
from alupdate.data.labels import shortened
from alupdate.data.own_data import PartlyLabelled
from alupdate.labelling.batch_files import picture
from alupdate.labelling.suggester import Suggestions
from alupdate.utils.errors import InputError

TASKS, CONFIG = "batch.labelstudio.json", "labelling-config.xml"
MODEL_VERSION = "alupdate"
"""Of the predictions in files; one for all batches, since a project asks for one."""
LOCAL_FILES = "/data/local-files/?d="
"""Where Label Studio serves files below its document root."""
OBJECTS = {"images": "image", "texts": "text"}
"""What an instance of each kind is called in a task's data, and in the configuration."""
SHOWN_BY_BROWSERS = frozenset({".jpg", ".jpeg", ".png", ".gif", ".webp", ".bmp"})
"""Endings of image files that a browser shows as they are."""
WIDTH = "480px"
"""Of an image, so that the classes are on the screen, too."""
VARIABLE = re.compile(r"\$[\w\[\].{}]", re.ASCII)
"""What Label Studio replaces in the name of a choice by a task's data."""
NO_XML = re.compile(r"[^\t\n\r\x20-\uD7FF\uE000-\uFFFD\U00010000-\U0010FFFF]")
"""Characters that XML cannot hold."""


def object_name(kind: Kind, key: str) -> str:
    """Return what an instance is called in a task's data: image or text.

    Args:
        kind: of the instances.
        key: the setting that asks for Label Studio, for error messages.

    Raises:
        InputError: Label Studio shows no instances of this kind.
    """
    if kind not in OBJECTS:
        raise InputError(f"{key}: Label Studio shows images and texts, but the pool has {kind}")
    return OBJECTS[kind]


def labelling_config(classes: Sequence[str], kind: Kind, key: str) -> str:
    """Return the labelling configuration of a project.

    It has the instance, one choice of the classes, and a field that says what the model thinks.

    Args:
        classes: the names of all classes.
        kind: of the instances.
        key: the setting that asks for Label Studio, for error messages.

    Raises:
        InputError: there are no two classes, Label Studio cannot show the name of one, or the
            instances are neither images nor texts.

    Example:
        >>> print(labelling_config(["cat", "dog"], "images", "task=suggest"))  # doctest: +ELLIPSIS
        <View>
          <Image name="image" value="$image" maxWidth="480px" />
          <Choices name="choice" toName="image" choice="single" required="true" showInline="true">
            <Choice value="cat" />
            <Choice value="dog" />
          </Choices>
          <TextArea name="model" toName="image" ... placeholder="no prediction yet" />
        </View>
    """
    name = object_name(kind, key)
    if len(classes) < 2:
        raise InputError(f"{key}: needs the classes to choose from; give dataset.classes=[A,B,...]")
    view = ET.Element("View")
    shown = ET.SubElement(view, name.capitalize(), name=name, value=f"${name}")
    if kind == "images":
        shown.set("maxWidth", WIDTH)
    choices = ET.SubElement(
        view, "Choices", name=CONTROL, toName=name, choice="single", required="true",
        showInline="true",
    )  # fmt: skip
    for label in classes:
        _refuse_unfit(label, key)
        ET.SubElement(choices, "Choice", value=label)
    ET.SubElement(
        view, "TextArea", name=NOTE, toName=name, editable="false", maxSubmissions="1",
        showSubmitButton="false", rows="1", placeholder="no prediction yet",
    )  # fmt: skip
    ET.indent(view)
    return ET.tostring(view, encoding="unicode")


def _refuse_unfit(label: str, key: str) -> None:
    """Refuse a class whose name Label Studio would show, and write, as another one.

    Raises:
        InputError: naming it.
    """
    if NO_XML.search(label):
        raise InputError(
            f"{key}: the class {label!r} has a character that XML cannot hold; rename it"
        )
    if VARIABLE.search(label):
        raise InputError(
            f"{key}: Label Studio takes a part of the class {shortened(label)} for a variable; "
            "rename it so that no letter or digit follows the $"
        )


def task_list(data: PartlyLabelled, chosen: Suggestions) -> str:
    """Return batch.labelstudio.json: the tasks of a batch, with scores in the order of rank.

    Args:
        data: the pool, of images or texts.
        chosen: the batch.
    """
    controls = Controls.usual(kind_of(data.pool))
    tasks = []
    for place, index in enumerate(chosen.indices.tolist()):
        guess = None
        if chosen.probabilities is not None:
            guess = Guess.of(chosen.probabilities[place], data.classes, len(data.indices))
        predicted = prediction(controls, queue_score(place), MODEL_VERSION, guess)
        tasks.append({"data": task_data(data, index), "predictions": [predicted]})
    return json.dumps(tasks, indent=2, ensure_ascii=False) + "\n"


def serving_note(folder: Path) -> str:
    """Say how Label Studio must be started to show the images of a folder."""
    return (
        "start Label Studio with LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED=true and "
        f"LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT={folder.parent}, and add {folder} to the "
        "project as local storage (without synchronising it)"
    )


def task_data(data: PartlyLabelled, index: int, root: Path | None = None) -> dict[str, str]:
    """Return the data of the task of one instance: what is shown, and the instance's name.

    An image in a folder is an address of Label Studio's local files; any other one, and one in a
    format that browsers do not show, is a data URL of a smaller copy.

    Args:
        data: the pool, of images or texts.
        index: of the instance.
        root: Label Studio's document root for local files; None for the folder around that of the
            images. A pool outside of it has data URLs.
    """
    pool = data.pool
    shown = OBJECTS[kind_of(pool)]
    if isinstance(pool, Texts):
        return {shown: pool.strings[index], INSTANCE: data.names[index]}
    assert isinstance(pool, Images)
    address = local_file(pool, index, root) or picture(pool, index)
    return {shown: address, INSTANCE: data.names[index]}


def local_file(images: Images, index: int, root: Path | None = None) -> str | None:
    """Return the address of an image among Label Studio's local files; None where it has none.

    Args:
        images: of the pool.
        index: of the image.
        root: as in ``task_data``.
    """
    folder = local_folder(images)
    if folder is None:
        return None
    assert isinstance(images, ImageFiles)
    path = folder / str(images.index.paths[index])
    above = folder.parent if root is None else _absolute(root)
    if path.suffix.lower() not in SHOWN_BY_BROWSERS or not path.is_relative_to(above):
        return None
    return LOCAL_FILES + quote(path.relative_to(above).as_posix())


def local_folder(images: Images) -> Path | None:
    """Return the absolute path of the folder in which images lie as files; None where they do not.

    Label Studio must have it as a local storage of the project, and its document root above it.
    """
    if isinstance(images, ImageFiles) and isinstance(images.source, Folder):
        return _absolute(images.source.root)
    return None


def _absolute(path: Path) -> Path:
    return Path(os.path.abspath(path))


@dataclass(frozen=True)
class Controls:
    """What predictions of a project fill in.

    Attributes:
        choice: the name of the control with the classes.
        shown: the name of what the classes are chosen for.
        note: the name of the field that says what the model thinks; None where there is none.
    """

    choice: str
    shown: str
    note: str | None = None

    @classmethod
    def usual(cls, kind: Kind) -> "Controls":
        """Return those of ``labelling_config``."""
        return cls(CONTROL, OBJECTS[kind], NOTE)


@dataclass(frozen=True)
class Guess:
    """What the model thinks of an instance.

    Attributes:
        class_name: the most probable class.
        probability: of that class.
        n_labelled: how many labels the model has learned.
    """

    class_name: str
    probability: float
    n_labelled: int

    @classmethod
    def of(
        cls, probabilities: NDArray[np.floating], classes: Sequence[str], n_labelled: int
    ) -> "Guess":
        """Return the guess of class probabilities (C,)."""
        best = int(probabilities.argmax())
        return cls(classes[best], round(float(probabilities[best]), 6), n_labelled)

    @property
    def text(self) -> str:
        """What annotators read.

        Example:
            >>> Guess("cat", 0.934, 12).text
            'cat, probability 0.93, after 12 labels'
        """
        return (
            f"{self.class_name}, probability {self.probability:.2f}, after {self.n_labelled} labels"
        )


LAST_OF_QUEUE = 0.9
"""Scores from here on are for predictions that were asked for, and not chosen."""


def queue_score(place: int) -> float:
    """Return the score of the task at a place of the queue, from 0 on; the lowest is served first.

    Label Studio wants scores up to 1, and shows them as percentages: so small ones are not taken
    for probabilities.
    """
    return place / 1000 if place < 1000 * LAST_OF_QUEUE else LAST_OF_QUEUE * (1 - 1 / (place + 1))


def asked_score(probability: float) -> float:
    """Return the score of a prediction that was asked for: behind the queue, doubtful ones first.

    Args:
        probability: of the predicted class.
    """
    return LAST_OF_QUEUE + (1 - LAST_OF_QUEUE) * probability


def prediction(
    controls: Controls, score: float, model_version: str, guess: Guess | None = None
) -> dict[str, Any]:
    """Return one prediction of a task.

    Args:
        controls: of the project.
        score: the lowest one is served first.
        model_version: of predictions that belong together.
        guess: what the model thinks; None before there is a model: the task has its place in the
            queue, and nothing is chosen in advance.

    Example:
        >>> prediction(Controls.usual("texts"), 0.005, "alupdate")
        {'model_version': 'alupdate', 'score': 0.005, 'result': []}
    """
    result: list[dict[str, Any]] = []
    if guess is not None:
        choice = {"type": "choices", "value": {"choices": [guess.class_name]}}
        result.append({"from_name": controls.choice, **choice, "score": guess.probability})
        if controls.note is not None:
            said = {"type": "textarea", "value": {"text": [guess.text]}}
            result.append({"from_name": controls.note, **said})
    shown = [{"to_name": controls.shown, **part} for part in result]
    return {"model_version": model_version, "score": score, "result": shown}
