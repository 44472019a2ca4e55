"""Whether a run fits into the machine's memory, asked before anything is written."""

import os
from collections.abc import Iterable
from pathlib import Path

import torch

from alupdate.laplace.names import PER_CLASS, Likelihood
from alupdate.laplace.per_class import is_dense
from alupdate.utils.errors import InputError

LIMIT_FILES = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
"""Files in which Linux says how much a container may take."""
EVALUATED = 6
"""How many numbers in 64 bits an evaluation holds of every test instance and class."""


def posterior_bytes(likelihood: Likelihood, labels: int, dimension: int, classes: int) -> int:
    """Return the memory that a posterior takes at least while it is fitted.

    Three matrices (D, D) in 64 bits where all classes share the covariance: the precision, its
    Cholesky factor and the inverse. One matrix in 32 bits for each class otherwise, (D, D) or
    (N, N), and the three of one class.

    Args:
        likelihood: of the posterior.
        labels: N, as many as are labelled in the end.
        dimension: D, the number of features with the bias.
        classes: C.
    """
    if likelihood != PER_CLASS:
        return 24 * dimension**2
    side = dimension if is_dense(labels, dimension, 4 * classes * dimension**2) else labels
    return (4 * classes + 24) * side**2


def check_memory(
    likelihoods: Iterable[Likelihood],
    labels: int,
    dimension: int,
    classes: int,
    test_size: int,
    device: torch.device,
) -> None:
    """Refuse a run that cannot fit: what it needs at least is more than all of the memory.

    Args:
        likelihoods: of the posteriors.
        labels: N, as many as are labelled in the end.
        dimension: D, the number of features with the bias.
        classes: C.
        test_size: T.
        device: where tensors live.

    Raises:
        InputError: naming the keys to change.
    """
    there = machine_bytes(device)
    evaluation = 8 * EVALUATED * test_size * classes
    if evaluation > there:
        raise InputError(
            f"dataset.n_test: {test_size} test instances of {classes} classes take "
            f"{_gib(evaluation)} and the memory is {_gib(there)}; keep fewer by dataset.n_test"
        )
    for likelihood in sorted(set(likelihoods)):
        needed = posterior_bytes(likelihood, labels, dimension, classes)
        if needed <= there:
            continue
        advice = "use fewer features (another backbone)"
        if likelihood == PER_CLASS:
            advice += ", fewer labels or posterior.likelihood=gaussian, one covariance for all"
        raise InputError(
            f"posterior.likelihood={likelihood}: covariances of {dimension - 1} features, "
            f"{classes} classes and {labels} labels take {_gib(needed)} and the memory is "
            f"{_gib(there)}; {advice}"
        )


def machine_bytes(device: torch.device) -> int:
    """Return the memory of a device; of the CPU, what this process may take of the machine's."""
    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).total_memory)
    found = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    for name in LIMIT_FILES:
        try:
            text = Path(name).read_text(encoding="ascii").strip()
        except OSError:
            continue
        found += [int(text)] if text.isdecimal() else []
    return min(found)


def _gib(count: int) -> str:
    return f"{count / 2**30:.1f} GiB"
