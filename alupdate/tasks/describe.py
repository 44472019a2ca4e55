"""A card of the data set, with a probe that shows whether the backbone suits it."""

import numpy as np
import torch

from alupdate.config import DescribeTask, RunConfig, is_frozen
from alupdate.data import load_dataset
from alupdate.data.dataset import Dataset
from alupdate.data.features import Features
from alupdate.data.instances import Images, Instances, IntArray, Texts, Vectors
from alupdate.display import Display
from alupdate.errors import InputError
from alupdate.laplace.posterior import with_bias
from alupdate.metrics import score
from alupdate.paths import cache_dir
from alupdate.tasks.setup import choose_device, load_features
from alupdate.tasks.timing import timed
from alupdate.training.lbfgs import optimal_linear


def describe(config: RunConfig, task: DescribeTask, display: Display) -> None:
    """Print sizes, classes, imbalance, duplicates, dimension, and the accuracy of a linear probe.

    Raises:
        InputError: data and backbone do not go together, or the backbone is not frozen.
    """
    dataset, features = extract_features(config, display)
    device = choose_device(config.device)
    with display.progress("linear probe on the whole pool", 1) as advance:
        accuracy, seconds = timed(lambda: _probe(dataset, features, task, device), device)
        advance(1, f"{seconds:.0f} s")
    rows = [*card(dataset), ("features", f"{features.pool.shape[1]} by {config.backbone.name}")]
    majority = np.bincount(dataset.train_labels).argmax()
    share = float((dataset.test_labels == majority).mean())
    rows.append(("linear probe, test accuracy", f"{accuracy:.3f} (largest class: {share:.3f})"))
    rows += [("note", note) for note in dataset.notes]
    display.table(dataset.name, ["", "value"], [list(row) for row in rows])


def extract_features(config: RunConfig, display: Display) -> tuple[Dataset, Features]:
    """Return a data set with its features; they are in the cache afterwards.

    Raises:
        InputError: data and backbone do not go together, or the backbone is not frozen.
    """
    backbone = config.backbone
    if not is_frozen(backbone):
        raise InputError(
            f"task={config.task.name}: backbone={backbone.name} is trained end to end and has no "
            "fixed features; use a frozen one"
        )
    dataset = load_dataset(config.dataset, cache_dir(config.cache_dir), display)
    features = load_features(config, dataset, choose_device(config.device), display)
    display.say(
        f"{dataset.name}: {len(features.pool)} + {len(features.test)} instances, "
        f"{features.pool.shape[1]} features by {backbone.name}"
    )
    return dataset, features


def card(dataset: Dataset) -> list[tuple[str, str]]:
    """Return what there is to know about a data set, as rows of a heading and a value."""
    counts = np.bincount(dataset.train_labels, minlength=len(dataset.classes))
    largest, smallest = int(counts.argmax()), int(counts.argmin())
    imbalance = counts[largest] / counts[smallest] if counts[smallest] else np.inf
    digests = dataset.train.digests()
    return [
        ("instances", _instances(dataset.train)),
        ("pool", f"{len(dataset.train)}"),
        ("test set", f"{len(dataset.test)}"),
        ("classes", f"{len(dataset.classes)}"),
        ("largest class", f"{dataset.classes[largest]}: {counts[largest]}"),
        ("smallest class", f"{dataset.classes[smallest]}: {counts[smallest]}"),
        ("imbalance", f"{imbalance:.3g} to 1"),
        ("copies within the pool", f"{len(digests) - len(np.unique(digests))}"),
        ("test instances in the pool", f"{np.isin(dataset.test.digests(), digests).sum()}"),
        ("fingerprint", dataset.fingerprint()[:16]),
    ]


def _instances(instances: Instances) -> str:
    if isinstance(instances, Vectors):
        return f"vectors of dimension {instances.rows.shape[1]}"
    if isinstance(instances, Texts):
        lengths = [len(text.split()) for text in instances.strings]
        return f"texts of {np.median(lengths):.0f} words (median), {max(lengths)} at most"
    if isinstance(instances, Images) and instances.shape is not None:
        return "images of {} x {} pixels, {} channels".format(*instances.shape)
    return "images of several sizes"


def _probe(dataset: Dataset, features: Features, task: DescribeTask, device: torch.device) -> float:
    """Return the test accuracy of a linear layer trained on all of the pool, to the optimum."""
    pool, test = (with_bias(torch.from_numpy(np.array(x))) for x in (features.pool, features.test))

    def labels(ids: IntArray) -> torch.Tensor:
        return torch.from_numpy(ids).to(device)

    weights = optimal_linear(
        pool.to(device), labels(dataset.train_labels), len(dataset.classes), task.weight_decay
    )
    return score(test.to(device) @ weights.T, labels(dataset.test_labels)).accuracy
