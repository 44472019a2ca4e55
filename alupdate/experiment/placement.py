"""Where ``device=auto`` puts each step of a run: on the CPU or on the GPU, by its size.

The thresholds come from one measurement on an H200 with 8 CPU threads beside it (docs/guide/gpu.md
has the table). A step that is small leaves a GPU idle between its thousands of calls, and is faster
on the CPU. Above a threshold the GPU has enough to do in each call.
"""

from dataclasses import dataclass
from typing import Literal

import torch

from alupdate.config import RunConfig
from alupdate.data.dataset import Dataset
from alupdate.utils.errors import InputError

DeviceType = Literal["cpu", "cuda"]
Step = Literal["features", "training", "updates", "predictions", "queries"]

LARGE_TRAINING = 2**23
"""Products in a training step, minibatch x C x D, from which the GPU is taken.

Measured at 64 x 10 x 385, about 2**18, where the CPU needs half the time of the GPU. That the time
of the GPU stays the same up to here, and that of the CPU does not, is an extrapolation.
"""
LARGE_QUERY = 2**22
"""Numbers that a query looks at, from which the GPU is taken: P x D, or P x T if that is more.

Measured above: 50,000 x 1,280 (margin: 1.1 ms against 14 ms) and 1,000 candidates x 10,000 points
(look-ahead: 49 ms against 97 ms). Measured below: 1,000 x 384 (BAIT: 120 ms against 66 ms).
"""


@dataclass(frozen=True)
class StepSizes:
    """What a step works on.

    Attributes:
        dimension: D, the number of features.
        classes: C.
        minibatch: instances in a step of the training recipe; 0 for L-BFGS, which is on the CPU.
        candidates: P, of a query.
        points: T, on which a query measures a loss; 0 if it does not.
    """

    dimension: int
    classes: int
    minibatch: int
    candidates: int
    points: int = 0


def device_type_for(step: Step, sizes: StepSizes) -> DeviceType:
    """Return where a step is done if there is a GPU.

    Updates and predictions are made where the model was trained: they share its features, and
    both take milliseconds on either.

    Example:
        >>> paper = StepSizes(dimension=384, classes=10, minibatch=64, candidates=1000)
        >>> device_type_for("features", paper), device_type_for("training", paper)
        ('cuda', 'cpu')
        >>> large = StepSizes(dimension=1280, classes=10, minibatch=64, candidates=50_000)
        >>> device_type_for("queries", paper), device_type_for("queries", large)
        ('cpu', 'cuda')
    """
    if step == "features":
        return "cuda"
    if step == "queries":
        numbers, least = sizes.candidates * max(sizes.dimension, sizes.points), LARGE_QUERY
    else:
        numbers, least = sizes.minibatch * sizes.classes * sizes.dimension, LARGE_TRAINING
    return "cuda" if numbers >= least else "cpu"


@dataclass(frozen=True)
class Placement:
    """The devices of a run.

    Attributes:
        features: where features are extracted.
        model: where it is trained, updated and evaluated.
        queries: where batches are chosen.
    """

    features: torch.device
    model: torch.device
    queries: torch.device

    def other_than_cpu(self) -> dict[str, str]:
        """Return the names of the devices, by step; nothing where all steps are on the CPU."""
        devices = {"features": self.features, "model": self.model, "queries": self.queries}
        if all(device.type == "cpu" for device in devices.values()):
            return {}
        return {step: str(device) for step, device in devices.items()}

    def __str__(self) -> str:
        return f"features: {self.features}, model: {self.model}, queries: {self.queries}"


def placed(config: RunConfig, dataset: Dataset, dimension: int) -> Placement:
    """Return where the steps of a run on fixed features are done.

    A device that is named takes all of them.

    Args:
        config: names the device, the solver, the strategy and the candidates.
        dataset: whose sizes count.
        dimension: D, the number of features.

    Raises:
        InputError: the device that is named is not there.
    """
    device = choose_device(config.device)
    if config.device != "auto" or device.type == "cpu":
        return Placement(device, device, device)
    sizes = sizes_of(config, dataset, dimension)
    model, queries = (
        device if device_type_for(step, sizes) == "cuda" else torch.device("cpu")
        for step in ("training", "queries")
    )
    return Placement(device, model, queries)


def sizes_of(config: RunConfig, dataset: Dataset, dimension: int) -> StepSizes:
    """Return how large the steps of a run are."""
    pool, training, strategy = len(dataset.train), config.training, config.strategy
    evaluation = {"test": len(dataset.test), "holdout": strategy.n_holdout, "pool": pool}
    return StepSizes(
        dimension,
        len(dataset.classes),
        0 if training.solver == "lbfgs" else training.minibatch,
        min(pool, config.subset or pool),
        evaluation[strategy.evaluation_set] if strategy.needs_oracle else 0,
    )


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
