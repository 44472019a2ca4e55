"""The learner: a backbone with its last-layer posterior, to be fitted and updated."""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from alupdate.backbones.cnn import features_of, initial_network, train_network
from alupdate.backbones.images import ByteArray, image_arrays
from alupdate.config import UpdateConfig
from alupdate.data.dataset import Dataset
from alupdate.data.features import Features
from alupdate.data.instances import FloatArray, IntArray
from alupdate.laplace.posterior import LastLayer, with_bias
from alupdate.laplace.updates import fit
from alupdate.seeds import Stream, generator
from alupdate.training.lbfgs import optimal_linear
from alupdate.training.recipe import Recipe, train_linear


@dataclass(frozen=True)
class Model:
    """What has been learnt: the features under the current backbone, and the posterior on them.

    Attributes:
        pool: (N, D), features of the pool; the last column is the constant 1 for the bias.
        test: (T, D), of the test set.
        posterior: over the last layer's weights.
    """

    pool: Tensor
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
        self._pool, self._test = (
            _with_bias_column(rows, device) for rows in (features.pool, features.test)
        )
        self._settings, self._seed, self._classes = settings, seed, n_classes

    def fit(self, indices: IntArray, labels: IntArray, cycle: int) -> Model:
        """See ``Learner``."""
        rows = self._pool[torch.from_numpy(indices)]
        targets = torch.from_numpy(labels).to(rows.device)
        weights = train_last_layer(rows, targets, self._classes, self._settings, self._seed, cycle)
        return Model(self._pool, self._test, _posterior(weights, rows, self._settings))


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


class CnnLearner:
    """A small convolutional network, retrained end to end; its last layer has the posterior."""

    def __init__(
        self,
        dataset: Dataset,
        width: int,
        settings: UpdateConfig,
        seed: int,
        device: torch.device,
    ) -> None:
        pool, test = image_arrays(dataset, "cnn")
        self._pool, self._test = (_normalised(images, pool, device) for images in (pool, test))
        self._classes, self._width = len(dataset.classes), width
        self._settings, self._seed = settings, seed

    def fit(self, indices: IntArray, labels: IntArray, cycle: int) -> Model:
        """See ``Learner``."""
        network = initial_network(
            self._pool.shape[1],
            self._width,
            self._classes,
            generator(self._seed, Stream.MODEL_INIT),
        ).to(self._pool.device)
        chosen = torch.from_numpy(indices)
        targets = torch.from_numpy(labels).to(self._pool.device)
        train_network(
            network,
            self._pool[chosen],
            targets,
            recipe_of(self._settings),
            generator(self._seed, Stream.TRAINING, cycle),
        )
        pool, test = (with_bias(features_of(network, x)) for x in (self._pool, self._test))
        weights = torch.cat([network.last.weight, network.last.bias[:, None]], dim=1).detach()
        return Model(pool, test, _posterior(weights, pool[chosen], self._settings))


def recipe_of(settings: UpdateConfig) -> Recipe:
    """Return the training recipe that the update group configures."""
    return Recipe(
        settings.learning_rate, settings.weight_decay, settings.epochs, settings.minibatch
    )


def _posterior(weights: Tensor, rows: Tensor, settings: UpdateConfig) -> LastLayer:
    return fit(weights, rows, settings.likelihood, settings.prior_precision)


def _normalised(images: ByteArray, pool: ByteArray, device: torch.device) -> Tensor:
    """Return images (N, H, W, channels) as floats (N, channels, H, W); the pool's have variance 1.

    Its mean is 0; other images are shifted and scaled as the pool's.
    """
    mean, deviation = float(pool.mean()), float(pool.std()) or 1.0
    planes = torch.from_numpy(images).to(device).permute(0, 3, 1, 2).float()
    return ((planes - mean) / deviation).contiguous()
