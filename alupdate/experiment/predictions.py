"""Predictions of a saved model: ``task=predict`` writes a row for each instance of a data set."""

import csv
import hashlib
import io
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from alupdate.config import RunConfig, display_name
from alupdate.data.dataset import FloatArray, Instances, IntArray
from alupdate.data.own_data import OwnData, PartlyLabelled
from alupdate.experiment.placement import choose_device
from alupdate.models.features import Parts
from alupdate.models.model_files import model_file
from alupdate.models.saved import SavedModel, load_model
from alupdate.utils.display import Display
from alupdate.utils.files import distinct_name, file_digest, replaced_file, safe_name
from alupdate.utils.metrics import ACCURACY
from alupdate.utils.paths import cache_dir

PREDICTIONS = "predictions.csv"
FIXED = ("instance", "part", "label", "true_label", "variance")
"""The columns before those of the classes' probabilities."""
UNKNOWN = ""
"""Stands for a true label that is not known."""
DIGITS = ".9g"
"""Of numbers: those of 32 bits are read back as they were."""


@dataclass(frozen=True)
class Part:
    """Instances with their names, and the true labels that are known.

    Attributes:
        name: ``pool`` or ``test``.
        instances: N of them.
        names: (N,).
        labels: (N,), class names; empty where unknown.
    """

    name: str
    instances: Instances
    names: tuple[str, ...]
    labels: tuple[str, ...]


def write_predictions(config: RunConfig, display: Display) -> None:
    """Predict on all instances of a data set, and write them beside the experiment's runs.

    Raises:
        InputError: the model cannot be read, or the data are not what it takes; nothing was
            written.
    """
    assert config.model is not None
    model = load_model(config.model, choose_device(config.device))
    model.check_predictive(config.posterior.predictive, config.calibrate)
    cache = cache_dir(config.cache_dir)
    name, parts = _read(config, cache, display)
    instances = Parts(name, tuple(part.instances for part in parts))
    features = model.raw_features(instances, cache, display)
    for rows in features:
        for _ in model.chunks(rows):  # refuses what is too far from the pool
            pass
    path = _folder(config, cache, display) / PREDICTIONS
    path.parent.mkdir(parents=True, exist_ok=True)
    correct: list[NDArray[np.bool_]] = []
    with (
        replaced_file(path) as file,
        display.progress(f"predictions for {name}", sum(instances.sizes)) as advance,
    ):
        file.write(_csv([[*FIXED, *probability_columns(model.classes)]]))
        for part, rows in zip(parts, features, strict=True):
            right = []
            for content, hits in _rows(config, model, part, rows):
                file.write(content)
                right.append(hits)
                advance(len(hits), part.name)
            correct.append(np.concatenate([np.zeros(0, bool), *right]))
    _report(name, model, parts, correct, display)
    display.say(f"predictions: {path}")


def probability_columns(classes: tuple[str, ...]) -> list[str]:
    """Return a column name for each class: ``p_`` and the class, made safe and distinct.

    Example:
        >>> probability_columns(("cat", "big dog"))
        ['p_cat', 'p_big_dog']
    """
    safe = [safe_name(name) for name in classes]
    chosen: list[str] = []
    for name, plain in zip(classes, safe, strict=True):
        column = f"p_{plain}" if safe.count(plain) == 1 else f"p_{distinct_name(name)}"
        while column in chosen:
            column += "_"
        chosen.append(column)
    return chosen


def _read(config: RunConfig, cache: Path, display: Display) -> tuple[str, list[Part]]:
    """Return the name of the data, and pool and test set as far as there are any."""
    if isinstance(config.dataset, OwnData):
        return _own_parts(config.dataset.partly_labelled(cache, display), display)
    dataset = config.dataset.load(cache, display)
    both = (
        ("pool", dataset.train, dataset.train_labels),
        ("test", dataset.test, dataset.test_labels),
    )
    return dataset.name, [
        Part(name, instances, _numbered(instances), _named(labels, dataset.classes))
        for name, instances, labels in both
    ]


def _own_parts(data: PartlyLabelled, display: Display) -> tuple[str, list[Part]]:
    for note in data.notes:
        display.say(f"note: {data.name}: {note}")
    known = [UNKNOWN] * len(data.pool)
    for position, label in zip(data.indices.tolist(), data.labels.tolist(), strict=True):
        known[position] = data.classes[label]
    parts = [Part("pool", data.pool, data.names, tuple(known))]
    if data.test is not None:
        labels = (UNKNOWN,) * len(data.test)
        if data.test_labels is not None:
            labels = _named(data.test_labels, data.classes)
        parts.append(Part("test", data.test, _numbered(data.test), labels))
    return data.name, parts


def _numbered(instances: Instances) -> tuple[str, ...]:
    return tuple(map(str, range(len(instances))))


def _named(labels: IntArray, classes: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(classes[label] for label in labels.tolist())


def _folder(config: RunConfig, cache: Path, display: Display) -> Path:
    """Return where predictions of this model for these data go; others go elsewhere."""
    assert config.model is not None
    settings = {
        key: value
        for key, value in asdict(config.dataset).items()
        if key not in config.dataset.places
    }
    file = model_file(config.model)
    identity = {
        "model": [file_digest("model", str(f)) for f in (file, file.with_suffix(".json"))],
        "dataset": settings,
        "content": config.dataset.digest(cache, display),
        "predictive": config.posterior.predictive,
        "calibrate": config.calibrate,
    }
    text = json.dumps(identity, sort_keys=True)
    digest = hashlib.sha256(text.encode()).hexdigest()[:8]
    name = f"predictions-{safe_name(display_name(config.dataset))}-{digest}"
    return Path(config.results_dir) / config.experiment_name / name


def _rows(
    config: RunConfig, model: SavedModel, part: Part, features: FloatArray
) -> Iterator[tuple[bytes, NDArray[np.bool_]]]:
    """Yield CSV rows of some instances at a time, and which predictions are right."""
    start = 0
    for rows in model.chunks(features):
        found = model.probabilities(rows, config.posterior.predictive, config.calibrate)
        variances = model.posterior.variances(rows).double().mean(dim=1).tolist()
        predicted = [model.classes[c] for c in found.argmax(axis=1).tolist()]
        stop = start + len(rows)
        names, true = part.names[start:stop], part.labels[start:stop]
        lines = [
            [name, part.name, label, known, format(variance, DIGITS), *map(_number, line)]
            for name, label, known, variance, line in zip(
                names, predicted, true, variances, found.tolist(), strict=True
            )
        ]
        hits = np.array([a == b for a, b in zip(predicted, true, strict=True)], bool)
        yield _csv(lines), hits
        start = stop


_number: Callable[[float], str] = ("{:" + DIGITS + "}").format


def _csv(rows: list[list[str]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode(errors="surrogateescape")


def _report(
    name: str,
    model: SavedModel,
    parts: list[Part],
    correct: list[NDArray[np.bool_]],
    display: Display,
) -> None:
    """Print how many predictions of each part are right, where the true labels are known."""
    table, others = [], set[str]()
    for part, right in zip(parts, correct, strict=True):
        known = np.array([label != UNKNOWN for label in part.labels], bool)
        others |= {*part.labels} - {UNKNOWN, *model.classes}
        accuracy = f"{right[known].mean():.4f}" if known.any() else ""
        table.append([part.name, str(len(known)), str(int(known.sum())), accuracy])
    if others:
        display.say(
            f"note: {name}: has {len(others)} classes that the model has not learnt, such as "
            f"{min(others)}: their instances count as wrong"
        )
    display.table(name, ["part", "instances", "with a label", ACCURACY], table)
