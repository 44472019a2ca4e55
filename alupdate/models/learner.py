"""The learner: a backbone with its last-layer posterior, to be fitted and updated."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from alupdate.config import UpdateConfig
from alupdate.data.features import Features
from alupdate.data.instances import FloatArray, IntArray
from alupdate.data.mapped_rows import MappedRows
from alupdate.laplace.posterior import LastLayer
from alupdate.laplace.updates import fit
from alupdate.seeds import Stream, generator
from alupdate.training.lbfgs import optimal_linear
from alupdate.training.recipe import Recipe, train_linear

LARGE_BYTES = 2**29
"""Features of a mapped file above this size stay there until they are asked for."""


class Rows(Protocol):
    """Feature vectors (N, D) by position: a tensor, or ``MappedRows``."""

    @property
    def device(self) -> torch.device:
        """Where the vectors are, or go."""
        ...

    def __len__(self) -> int:
        """Return N."""
        ...

    def __getitem__(self, positions: Tensor, /) -> Tensor:
        """Return the vectors (n, D) at positions (n,)."""
        ...


@dataclass(frozen=True)
class Model:
    """What has been learnt: the features under the current backbone, and the posterior on them.

    Attributes:
        pool: (N, D), features of the pool; the last column is the constant 1 for the bias.
        test: (T, D), of the test set.
        posterior: over the last layer's weights.
    """

    pool: Rows
    test: Tensor
    posterior: LastLayer


class Learner(Protocol):
    """Retrains from the same initial weights on the labels bought so far."""

    def fit(self, indices: IntArray, labels: IntArray, cycle: int) -> Model:
        """Return the model retrained on pool instances (N,) with labels (N,).

        On a CPU the same arguments give the same model, bit for bit, in any process.
        """
        ...


class FrozenLearner:
    """A linear layer on fixed features."""

    def __init__(
        self,
        features: Features,
        n_classes: int,
        settings: UpdateConfig,
        seed: int,
        device: torch.device,
    ) -> None:
        self._pool = _pool_rows(features.pool, device)
        self._test = _with_bias_column(features.test, device)
        self._settings, self._seed, self._classes = settings, seed, n_classes

    def fit(self, indices: IntArray, labels: IntArray, cycle: int) -> Model:
        """See ``Learner``."""
        rows = self._pool[torch.from_numpy(indices)]
        targets = torch.from_numpy(labels).to(rows.device)
        weights = train_last_layer(rows, targets, self._classes, self._settings, self._seed, cycle)
        return Model(self._pool, self._test, posterior_of(weights, rows, self._settings))


def _pool_rows(features: FloatArray, device: torch.device) -> Rows:
    """Return features (N, D) with the bias column, from a large mapped file when asked for."""
    if isinstance(features, np.memmap) and features.nbytes > LARGE_BYTES:
        return MappedRows(features, device)
    return _with_bias_column(features, device)


def _with_bias_column(rows: FloatArray, device: torch.device) -> Tensor:
    """Return features (N, D) with a last column of ones, in one copy.

    PyTorch warns when it wraps features that are mapped read-only; NumPy may copy from them.
    """
    columns = torch.ones(len(rows), rows.shape[1] + 1)
    columns.numpy()[:, :-1] = rows
    return columns.to(device)


def train_last_layer(
    rows: Tensor, labels: Tensor, n_classes: int, settings: UpdateConfig, seed: int, cycle: int
) -> Tensor:
    """Return the weights (C, D) of a linear layer trained by the configured solver.

    The recipe starts from PyTorch's default initialisation, U(-1/sqrt(D), 1/sqrt(D)), which is the
    same for every cycle of a seed.

    Args:
        rows: (N, D), with the bias column.
        labels: (N,).
        n_classes: C.
        settings: solver and recipe.
        seed, cycle: number the random streams.
    """
    if settings.solver == "lbfgs":
        return optimal_linear(rows, labels, n_classes, settings.weight_decay)
    columns = rows.shape[1]
    bound = (columns - 1) ** -0.5
    drawn = generator(seed, Stream.MODEL_INIT).uniform(-bound, bound, size=(n_classes, columns))
    start = torch.from_numpy(drawn).to(rows)
    rng = generator(seed, Stream.TRAINING, cycle)
    return train_linear(start, rows, labels, recipe_of(settings), rng)


def recipe_of(settings: UpdateConfig) -> Recipe:
    """Return the training recipe that the update group configures."""
    return Recipe(
        settings.learning_rate, settings.weight_decay, settings.epochs, settings.minibatch
    )


def posterior_of(weights: Tensor, rows: Tensor, settings: UpdateConfig) -> LastLayer:
    """Return the configured posterior at weights (C, D) trained on features (N, D)."""
    return fit(weights, rows, settings.likelihood, settings.prior_precision)
