"""From a config to data, features and a learner: everything before the first cycle."""

import time
from dataclasses import dataclass

import torch

from alupdate.backbones import make_extractor, make_trainable
from alupdate.backbones.extractor import extracted
from alupdate.backbones.plain import flatten, standardise
from alupdate.config import CnnBackbone, ImageBackbone, PlainBackbone, RunConfig, is_frozen
from alupdate.data import load_dataset
from alupdate.data.dataset import Dataset
from alupdate.data.features import Features
from alupdate.data.instances import IntArray
from alupdate.display import Display
from alupdate.errors import InputError
from alupdate.learner import FrozenLearner, Learner
from alupdate.network_learner import NetworkLearner
from alupdate.paths import cache_dir
from alupdate.seeds import Stream, generator

DEFAULT_THREADS = torch.get_num_threads()


@dataclass(frozen=True)
class Setup:
    """What a task works with.

    Attributes:
        dataset: pool and test set.
        learner: on that data set.
        device: where tensors live.
        seconds: what loading and extracting took (the phase ``features``).
    """

    dataset: Dataset
    learner: Learner
    device: torch.device
    seconds: float


def prepare(config: RunConfig, display: Display) -> Setup:
    """Load the data, extract features (or read them from the cache) and make the learner.

    Raises:
        InputError: the data are malformed, or data, backbone and device do not go together.
    """
    torch.set_num_threads(config.threads or DEFAULT_THREADS)
    device = choose_device(config.device)
    start = time.perf_counter()
    dataset = load_dataset(config.dataset, cache_dir(config.cache_dir), display)
    learner = _make_learner(config, dataset, device, display)
    for note in dataset.notes:
        display.say(f"note: {dataset.name}: {note}")
    return Setup(dataset, learner, device, time.perf_counter() - start)


def choose_device(name: str) -> torch.device:
    """Return the named device; ``auto`` takes a CUDA GPU where there is one.

    Apple's MPS is not offered: it has no float64, in which posteriors and metrics are computed.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    device = torch.device(name)
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise InputError(f"device={name}: there is no such device here; use device=auto or cpu")
    return device


def _make_learner(
    config: RunConfig, dataset: Dataset, device: torch.device, display: Display
) -> Learner:
    if not is_frozen(config.backbone):
        rng = generator(config.seed, Stream.MODEL_INIT)
        assert isinstance(config.backbone, CnnBackbone | ImageBackbone)
        trainable = make_trainable(
            config.backbone, dataset, config.update.learning_rate, rng, device, display
        )
        return NetworkLearner(trainable, config.update, config.seed, device)
    features = load_features(config, dataset, device, display)
    return FrozenLearner(features, len(dataset.classes), config.update, config.seed, device)


def load_features(
    config: RunConfig, dataset: Dataset, device: torch.device, display: Display
) -> Features:
    """Return the features of a frozen backbone, from the cache where they are kept.

    Raises:
        InputError: data and backbone do not go together, or the cache cannot be written.
    """
    backbone = config.backbone
    assert not isinstance(backbone, CnnBackbone)
    if isinstance(backbone, PlainBackbone):
        features = flatten(dataset, backbone.name)
    else:
        extractor = make_extractor(backbone, dataset, device)
        features = extracted(dataset, extractor, cache_dir(config.cache_dir), display)
    return standardise(features) if backbone.standardise else features


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
