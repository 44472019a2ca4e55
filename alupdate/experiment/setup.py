"""From a config to data, features and a learner: everything before the first cycle."""

import time
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
import torch

from alupdate.config import (
    DescribeTask,
    RunConfig,
)
from alupdate.config.values import NO_LABEL
from alupdate.data.dataset import Dataset, Images, Instances, IntArray, Texts, Vectors
from alupdate.data.feature_cache import Features
from alupdate.data.feature_shards import Shard
from alupdate.data.labels import shortened
from alupdate.experiment.memory import check_memory
from alupdate.experiment.placement import Placement, choose_device, placed
from alupdate.experiment.task import timed
from alupdate.laplace.inputs import with_bias
from alupdate.laplace.names import Likelihood
from alupdate.models.confusion import with_confused_labels
from alupdate.models.features import CachedBackbone, Parts
from alupdate.models.learner import FrozenLearner, Learner, LearnerSettings, NetworkLearner
from alupdate.models.scales import Scale
from alupdate.models.training import optimal_linear
from alupdate.utils.display import Display
from alupdate.utils.errors import InputError
from alupdate.utils.metrics import ACCURACY, score
from alupdate.utils.paths import cache_dir
from alupdate.utils.seeds import Stream, generator

DEFAULT_THREADS = torch.get_num_threads()


@dataclass(frozen=True)
class Setup:
    """What a task works with.

    Attributes:
        dataset: pool and test set.
        learner: on that data set.
        device: where the model and its features are.
        seconds: what loading and extracting took (the phase ``features``).
        scale: of the features; None where they are as the backbone gives them.
        placement: where each step is done.
    """

    dataset: Dataset
    learner: Learner
    device: torch.device
    seconds: float
    scale: Scale | None = None
    placement: Placement | None = None


def prepare(config: RunConfig, display: Display) -> Setup:
    """Load the data, extract features (or read them from the cache) and make the learner.

    Raises:
        InputError: the data are malformed, or data, backbone and device do not go together.
    """
    start = time.perf_counter()
    dataset = config.dataset.load(cache_dir(config.cache_dir), display)
    return prepared(config, dataset, start, display)


def prepared(config: RunConfig, dataset: Dataset, start: float, display: Display) -> Setup:
    """Return what a task on a data set works with.

    Args:
        config: names the backbone and the device.
        dataset: pool and test set.
        start: when its loading began, by ``time.perf_counter``.
        display: shows progress, and the notes on data and features.

    Raises:
        InputError: data, backbone and device do not go together.
    """
    torch.set_num_threads(config.threads or DEFAULT_THREADS)
    learner, notes, scale, placement = _make_learner(config, dataset, display)
    dataset = replace(dataset, notes=(*dataset.notes, *notes))
    if learner.rows is not None:
        dataset = with_confused_labels(config.dataset, dataset, learner.rows)
    for note in dataset.notes:
        display.say(f"note: {dataset.name}: {note}")
    seconds = time.perf_counter() - start
    return Setup(dataset, learner, placement.model, seconds, scale, placement)


def _make_learner(
    config: RunConfig, dataset: Dataset, display: Display
) -> tuple[Learner, tuple[str, ...], Scale | None, Placement]:
    """Return the learner, what a user should know about the features, their scale and the devices.

    A network that is trained end to end is on one device with all that follows.
    """
    settings, backbone, device = (
        learner_settings(config),
        config.backbone,
        choose_device(config.device),
    )
    if not backbone.frozen:
        rng, rate = generator(config.seed, Stream.MODEL_INIT), config.training.learning_rate
        trainable = backbone.trainable(dataset, rate, rng, device, display)
        learner = NetworkLearner(trainable, settings, device)
        return learner, (), None, Placement(device, device, device)
    features = backbone.features(dataset, device, cache_dir(config.cache_dir), display)
    place = placed(config, dataset, features.pool.shape[1])
    classes = len(dataset.classes)
    frozen = FrozenLearner(features, classes, settings, place.model, place.queries)
    return frozen, features.notes, features.scale, place


def learner_settings(config: RunConfig) -> LearnerSettings:
    """Return what decides a run's retrained models, besides features and labels."""
    return LearnerSettings(config.training, config.posterior, config.seed)


def check_fits(setup: Setup, likelihoods: Iterable[Likelihood], labels: int) -> None:
    """Refuse a run whose posteriors or evaluation would not fit into memory.

    Raises:
        InputError: naming the keys to change.
    """
    dataset = setup.dataset
    sizes = (labels, setup.learner.dimension, len(dataset.classes), len(dataset.test))
    check_memory(likelihoods, *sizes, setup.device)


def check_sizes(config: RunConfig, pool_size: int, reserved: IntArray) -> None:
    """Refuse more labels than the pool can give.

    Raises:
        InputError: naming the key to change.
    """
    available = pool_size - len(reserved)
    if config.n_initial > available:
        raise InputError(
            f"n_initial={config.n_initial}: the pool of {config.dataset.name} has only "
            f"{available} instances"
        )
    wanted = config.n_initial + config.n_cycles * config.batch.size
    if wanted > available:
        most = (available - config.n_initial) // config.batch.size
        raise InputError(
            f"n_cycles={config.n_cycles}: {config.n_initial} initial labels and "
            f"{config.n_cycles} batches of {config.batch.size} are {wanted} labels, but the pool "
            f"has {available}; n_cycles can be {most} at most"
        )


def describe(config: RunConfig, task: DescribeTask, display: Display) -> None:
    """Print sizes, classes, imbalance, duplicates, dimension, and the accuracy of a linear probe.

    Raises:
        InputError: data and backbone do not go together, or the backbone is not frozen.
    """
    dataset, features = load_with_features(config, display)
    device = choose_device(config.device)
    pool = with_bias(torch.from_numpy(np.array(features.pool))).to(device)
    dataset = with_confused_labels(config.dataset, dataset, pool)
    with display.progress("linear probe on the whole pool", 1) as advance:
        accuracy, seconds = timed(lambda: _probe(dataset, features, task, device), device)
        advance(1, f"{seconds:.0f} s")
    rows = [*card(dataset), ("features", f"{features.pool.shape[1]} by {config.backbone.name}")]
    majority = np.bincount(_known(dataset)).argmax()
    share = float((dataset.test_labels == majority).mean())
    rows.append(("linear probe, test accuracy", f"{accuracy:.3f} (largest class: {share:.3f})"))
    rows += [("note", note) for note in (*dataset.notes, *features.notes)]
    display.table(dataset.name, ["", "value"], [list(row) for row in rows])


def keep_features(config: RunConfig, display: Display) -> None:
    """Extract the features of a data set, or one shard of them; they are in the cache afterwards.

    Raises:
        InputError: data and backbone do not go together, or the backbone is not frozen.
    """
    wanted, backbone = config.extraction, config.backbone
    if wanted.shard is None or not isinstance(backbone, CachedBackbone):
        load_with_features(config, display)
        return
    torch.set_num_threads(config.threads or DEFAULT_THREADS)
    cache, device = cache_dir(config.cache_dir), choose_device(config.device)
    parts = Parts.extracted_of(config.dataset.load(cache, display))
    shard = Shard(wanted.shard, wanted.shards)
    missing = backbone.keep_shard(parts, device, cache, display, shard)
    start, stop = shard.span(sum(parts.sizes))
    held = f"features of instances {start} to {stop - 1} are kept"
    state = f"{missing} more to come" if missing else "all are joined"
    display.say(f"{parts.name}: {shard}: {held if start < stop else 'is empty'}; {state}")


def load_with_features(config: RunConfig, display: Display) -> tuple[Dataset, Features]:
    """Return a data set with its features; they are in the cache afterwards.

    Raises:
        InputError: data and backbone do not go together, or the backbone is not frozen.
    """
    backbone = config.backbone
    if not backbone.frozen:
        raise InputError(
            f"task={config.task.name}: backbone={backbone.name} is trained end to end and has no "
            "fixed features; use a frozen one"
        )
    torch.set_num_threads(config.threads or DEFAULT_THREADS)
    cache = cache_dir(config.cache_dir)
    dataset = config.dataset.load(cache, display)
    features = backbone.features(dataset, choose_device(config.device), cache, display)
    display.say(
        f"{dataset.name}: {len(features.pool)} + {len(features.test)} instances, "
        f"{features.pool.shape[1]} features by {backbone.name}"
    )
    return dataset, features


def card(dataset: Dataset) -> list[tuple[str, str]]:
    """Return what there is to know about a data set, as rows of a heading and a value."""
    counts = np.bincount(_known(dataset), minlength=len(dataset.classes))
    largest, smallest = int(counts.argmax()), int(counts.argmin())
    imbalance = counts[largest] / counts[smallest] if counts[smallest] else np.inf
    digests = dataset.train.digests()
    return [
        ("instances", _instances(dataset.train)),
        ("pool", f"{len(dataset.train)}"),
        ("test set", f"{len(dataset.test)}"),
        ("classes", f"{len(dataset.classes)}"),
        ("largest class", f"{shortened(dataset.classes[largest])}: {counts[largest]}"),
        ("smallest class", f"{shortened(dataset.classes[smallest])}: {counts[smallest]}"),
        ("imbalance", f"{imbalance:.3g} to 1"),
        ("copies within the pool", f"{len(digests) - len(np.unique(digests))}"),
        ("test instances in the pool", f"{np.isin(dataset.test.digests(), digests).sum()}"),
        ("fingerprint", dataset.fingerprint()[:16]),
    ]


def _known(dataset: Dataset) -> IntArray:
    """Return the labels of the instances of the pool that have one."""
    labels: IntArray = dataset.train_labels[dataset.train_labels != NO_LABEL]
    return labels


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
    labelled = dataset.train_labels != NO_LABEL
    parts = (features.pool[labelled], features.test)
    pool, test = (with_bias(torch.from_numpy(np.array(part))) for part in parts)

    def labels(ids: IntArray) -> torch.Tensor:
        return torch.from_numpy(ids).to(device)

    weights = optimal_linear(
        pool.to(device), labels(_known(dataset)), len(dataset.classes), task.weight_decay
    )
    return score(test.to(device) @ weights.T, labels(dataset.test_labels))[ACCURACY]
