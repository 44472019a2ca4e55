"""From a config to data, features and a learner: everything before the first cycle."""

import time
from dataclasses import dataclass

import torch

from alupdate.config import CnnBackbone, PretrainedBackbone, RunConfig
from alupdate.data import load_dataset
from alupdate.data.dataset import Dataset, IntArray
from alupdate.data.features import Features, cached_features
from alupdate.display import Display
from alupdate.errors import InputError
from alupdate.learner import CnnLearner, FrozenLearner, Learner
from alupdate.paths import cache_dir

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
    dataset = load_dataset(config.dataset)
    _check_kind(config, dataset)
    learner = _make_learner(config, dataset, device, display)
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


def _check_kind(config: RunConfig, dataset: Dataset) -> None:
    backbone = config.backbone.name
    if dataset.kind == "vectors" and backbone in ("efficientnet_lite0", "cnn"):
        raise InputError(
            f"backbone={backbone}: needs images, but {dataset.name} has feature vectors of "
            f"dimension {dataset.train.shape[1]}; use backbone=identity"
        )
    channels = dataset.train.shape[-1]
    if backbone == "efficientnet_lite0" and channels not in (1, 3):
        raise InputError(
            f"backbone={backbone}: needs 1 or 3 channels, but {dataset.name} has {channels}"
        )


def _make_learner(
    config: RunConfig, dataset: Dataset, device: torch.device, display: Display
) -> Learner:
    if isinstance(config.backbone, CnnBackbone):
        return CnnLearner(dataset, config.backbone.width, config.update, config.seed, device)
    features = _features(config, dataset, device, display)
    return FrozenLearner(features, len(dataset.classes), config.update, config.seed, device)


def _features(
    config: RunConfig, dataset: Dataset, device: torch.device, display: Display
) -> Features:
    from alupdate.backbones import plain

    backbone = config.backbone
    assert not isinstance(backbone, CnnBackbone)
    if isinstance(backbone, PretrainedBackbone):
        features = _pretrained(config, backbone, dataset, device, display)
    else:
        features = plain.flatten(dataset)
    return plain.standardise(features) if backbone.standardise else features


def _pretrained(
    config: RunConfig,
    backbone: PretrainedBackbone,
    dataset: Dataset,
    device: torch.device,
    display: Display,
) -> Features:
    from alupdate.backbones import efficientnet

    total = len(dataset.train) + len(dataset.test)

    def extract() -> Features:
        title = f"features of {dataset.name} by {backbone.name}"
        with display.progress(title, total) as advance:
            rate = _Rate()
            return efficientnet.extract(
                dataset, backbone.image_size, device, lambda n: advance(n, rate.after(n))
            )

    key = f"{dataset.name}-{efficientnet.cache_key(dataset, backbone.image_size)}"
    folder = cache_dir(config.cache_dir)
    try:
        return cached_features(folder, key, extract)
    except OSError as error:
        raise InputError(f"cache_dir: cannot write {folder} ({error.strerror or error})") from error


class _Rate:
    """Images per second since the start."""

    def __init__(self) -> None:
        self._start, self._count = time.perf_counter(), 0

    def after(self, count: int) -> str:
        self._count += count
        return f"{self._count / (time.perf_counter() - self._start):.0f} images/s"


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
