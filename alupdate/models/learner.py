"""The learner: retrains a last layer or a whole network, and updates its posterior."""

import copy
from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any, Protocol, TypeVar, cast

import torch
from torch import Tensor
from typing_extensions import override

from alupdate.config import PosteriorConfig, StepSize, TrainingConfig
from alupdate.config.values import NO_LABEL
from alupdate.data.dataset import FloatArray, IntArray
from alupdate.data.feature_cache import Features, MappedRows, ScaledRows, is_large_file
from alupdate.data.pool import Pool
from alupdate.laplace.inputs import with_bias
from alupdate.laplace.posterior import LastLayerPosterior
from alupdate.laplace.rules import UpdateResult, UpdateRule
from alupdate.laplace.step_size import choose_gamma
from alupdate.laplace.updates import laplace_posterior, update_rule
from alupdate.models.end_to_end import (
    Trainable,
    features_of,
    recalibrate_batch_norm,
    train_network,
)
from alupdate.models.many_trainings import Heads, train_alone, train_heads
from alupdate.models.training import Recipe, optimal_linear, seeded
from alupdate.utils.seeds import Stream, generator, sub_seed

N_SETTLING = 512
"""Images of the pool that batch normalisation's statistics come from, at most."""


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
class QueryFeatures:
    """The features of a model where queries are answered, which may be on another device.

    Attributes:
        pool, test: as those of ``Model``.
    """

    pool: Rows
    test: Tensor


@dataclass(frozen=True)
class Model:
    """What has been learnt: the features under the current backbone, and the posterior on them.

    Attributes:
        pool: (N, D), features of the pool; the last column is the constant 1 for the bias.
        test: (T, D), of the test set.
        posterior: over the last layer's weights.
        copied: the same features where queries are answered; None: these are.
    """

    pool: Rows
    test: Tensor
    posterior: LastLayerPosterior
    copied: QueryFeatures | None = None

    def for_queries(self) -> "Model":
        """Return the model where queries are answered: its posterior moves, its features do not."""
        if self.copied is None:
            return self
        there = self.copied
        return Model(there.pool, there.test, on_device(self.posterior, there.test.device))


V = TypeVar("V")


def on_device(value: V, device: torch.device) -> V:
    """Return a posterior, or a part of one, with its tensors on a device."""
    found: Any = value
    if isinstance(found, Tensor):
        found = found.to(device)
    elif is_dataclass(found) and not isinstance(found, type):
        parts = {part.name: getattr(found, part.name) for part in fields(found) if part.init}
        found = replace(found, **{name: on_device(part, device) for name, part in parts.items()})
    return cast(V, found)


@dataclass(frozen=True)
class LearnerSettings:
    """What decides a retrained model, besides features and labels.

    Attributes:
        training: solver and recipe.
        posterior: around the trained weights.
        seed: of the run; it numbers the random streams.
    """

    training: TrainingConfig
    posterior: PosteriorConfig
    seed: int


class Learner(Protocol):
    """Retrains from the same initial weights on all labels acquired so far."""

    @property
    def dimension(self) -> int:
        """Return D, the number of features with the bias."""
        ...

    @property
    def rows(self) -> Rows | None:
        """The pool's features (N, D), bias column included; None where they are trained, too."""
        ...

    def fit(self, indices: IntArray, labels: IntArray, cycle: int) -> Model:
        """Return the model retrained on pool instances (N,) with labels (N,).

        Without labels (N = 0) it is the prior: weights of zero, and a uniform prediction. On a CPU
        the same arguments give the same model, bit for bit, in any process.
        """
        ...


class FrozenLearner(Learner):
    """A linear layer on fixed features."""

    def __init__(
        self,
        features: Features,
        n_classes: int,
        settings: LearnerSettings,
        device: torch.device,
        queries: torch.device | None = None,
    ) -> None:
        """Put the features where they are needed; those of a large mapped file stay in it.

        Args:
            features: of pool and test set.
            n_classes: C.
            settings: solver, recipe, posterior and seed.
            device: where the layer is trained, updated and evaluated.
            queries: where queries are answered; None for the same device.
        """
        self._pool = _pool_rows(features.pool, device)
        self._test = _with_bias_column(features.test, device)
        self._copied = None
        if queries is not None and queries != device:
            pool = _rows_on(self._pool, queries)
            self._copied = QueryFeatures(pool, self._test.to(queries))
        self._settings, self._classes = settings, n_classes

    @property
    @override
    def dimension(self) -> int:
        return self._test.shape[1]

    def for_classes(self, n_classes: int) -> "FrozenLearner":
        """Return the learner on the same features for another number of classes."""
        learner = copy.copy(self)
        learner._classes = n_classes
        return learner

    def model(self, posterior: LastLayerPosterior) -> Model:
        """Return a model of these features with a posterior that was learnt on them earlier."""
        return Model(self._pool, self._test, posterior, self._copied)

    @property
    @override
    def rows(self) -> Rows:
        return self._pool

    @override
    def fit(self, indices: IntArray, labels: IntArray, cycle: int) -> Model:
        rows = self._pool[torch.from_numpy(indices)]
        targets = torch.from_numpy(labels).to(rows.device)
        if len(rows):
            weights = train_last_layer(rows, targets, self._classes, self._settings, cycle)
        else:
            weights = rows.new_zeros(self._classes, self.dimension)
        return self.model(posterior_of(weights, rows, self._settings.posterior))


def _pool_rows(features: FloatArray | ScaledRows, device: torch.device) -> Tensor | MappedRows:
    """Return features (N, D) with the bias column, from a large mapped file when asked for."""
    if isinstance(features, ScaledRows) or is_large_file(features):
        return MappedRows(features, device)
    return _with_bias_column(features, device)


def _rows_on(rows: Tensor | MappedRows, device: torch.device) -> Rows:
    """Return the same features on another device, or on their way there."""
    return rows.to(device) if isinstance(rows, Tensor) else MappedRows(rows.features, device)


def _with_bias_column(rows: FloatArray, device: torch.device) -> Tensor:
    """Return features (N, D) with a last column of ones, in one copy.

    PyTorch warns when it wraps features that are mapped read-only; NumPy may copy from them.
    """
    columns = torch.ones(len(rows), rows.shape[1] + 1)
    columns.numpy()[:, :-1] = rows
    return columns.to(device)


def train_last_layer(
    rows: Tensor, labels: Tensor, n_classes: int, settings: LearnerSettings, cycle: int
) -> Tensor:
    """Return the weights (C, D) of a linear layer trained by the configured solver.

    The recipe starts from PyTorch's default initialisation, U(-1/sqrt(D), 1/sqrt(D)), which is the
    same for every cycle of a seed.

    Args:
        rows: (N, D), with the bias column.
        labels: (N,).
        n_classes: C.
        settings: solver, recipe and seed.
        cycle: numbers the random streams.
    """
    training = settings.training
    if training.solver == "lbfgs":
        return optimal_linear(rows, labels, n_classes, training.weight_decay)
    start = _start(rows, n_classes, settings.seed)
    rng = generator(settings.seed, Stream.TRAINING, cycle)
    return train_alone(start, rows, labels, recipe_of(training), rng)


def _start(rows: Tensor, n_classes: int, seed: int) -> Tensor:
    """Return the initial weights (C, D) for features (N, D)."""
    columns = rows.shape[1]
    bound = (columns - 1) ** -0.5
    drawn = generator(seed, Stream.MODEL_INIT).uniform(-bound, bound, size=(n_classes, columns))
    return torch.from_numpy(drawn).to(rows)


@dataclass(frozen=True)
class Retraining:
    """Trains last layers as the run does after a query's batch.

    Attributes:
        n_classes: C.
        settings: solver, recipe and seed.
        cycle: numbers the random streams.
        device: where layers are trained; None for that of the features.
    """

    n_classes: int
    settings: LearnerSettings
    cycle: int
    device: torch.device | None = None

    def __call__(self, features: Tensor, labels: Tensor) -> Tensor:
        """Return the weights (C, D) of a layer trained on features (N, D) and labels (N,)."""
        rows, targets = (x.to(self.device or x.device) for x in (features, labels))
        trained = train_last_layer(rows, targets, self.n_classes, self.settings, self.cycle)
        return trained.to(features.device)

    def each(self, features: Tensor, labels: Tensor, positions: Tensor) -> Iterator[Tensor]:
        """Yield the weights (C, D) of layers that are each trained on some of the instances.

        Args:
            features: (P, D), labels: (P,).
            positions: (M, N), the instances of each layer.
        """
        training, seed = self.settings.training, self.settings.seed
        if training.solver == "lbfgs":
            for places in positions:
                yield self(features[places], labels[places])
            return
        there = (x.to(self.device or x.device) for x in (features, labels, positions))
        rows, targets, places = there
        heads = Heads(_start(rows, self.n_classes, seed), rows, targets, places)
        for group in heads.groups(training.minibatch):
            rng = generator(seed, Stream.TRAINING, self.cycle)
            yield from train_heads(group, recipe_of(training), rng).to(features.device)


def recipe_of(training: TrainingConfig) -> Recipe:
    """Return the configured training recipe."""
    return Recipe(
        training.learning_rate, training.weight_decay, training.epochs, training.minibatch
    )


def posterior_of(weights: Tensor, rows: Tensor, settings: PosteriorConfig) -> LastLayerPosterior:
    """Return the configured posterior at weights (C, D) trained on features (N, D)."""
    return laplace_posterior(weights, rows, settings.likelihood, settings.prior_precision)


class NetworkLearner(Learner):
    """A network retrained as a whole; its last layer has the posterior."""

    def __init__(
        self, trainable: Trainable, settings: LearnerSettings, device: torch.device
    ) -> None:
        self._trainable, self._settings, self._device = trainable, settings, device

    @property
    @override
    def dimension(self) -> int:
        return self._trainable.initial.last.in_features + 1

    @property
    @override
    def rows(self) -> None:
        return None

    @override
    def fit(self, indices: IntArray, labels: IntArray, cycle: int) -> Model:
        start, seed = self._trainable, self._settings.seed
        network = copy.deepcopy(start.initial)
        kept = start.pool[torch.from_numpy(indices)]
        rng = generator(seed, Stream.TRAINING, cycle)

        def images(positions: Tensor) -> Tensor:
            return start.inputs(start.augmented(kept[positions], rng))

        # Some networks drop units or layers at random, by PyTorch's global generator.
        with seeded(sub_seed(generator(seed, Stream.TRAINING, cycle))):
            train_network(
                network,
                images,
                torch.from_numpy(labels).to(self._device),
                recipe_of(self._settings.training),
                start.learning_rate,
                rng,
            )
        sample = torch.from_numpy(rng.permutation(len(start.pool))[:N_SETTLING])
        recalibrate_batch_norm(network, start.pool[sample], start)
        pool, test = (with_bias(features_of(network, x, start)) for x in (start.pool, start.test))
        weights = torch.cat([network.last.weight, network.last.bias[:, None]], dim=1).detach()
        rows = pool[torch.from_numpy(indices)]
        return Model(pool, test, posterior_of(weights, rows, self._settings.posterior))


def make_rule(name: str, n_hypotheses: int, seed: int) -> UpdateRule:
    """Return an update rule; only the Monte-Carlo update draws anything, from its own stream."""
    return update_rule(name, sub_seed(generator(seed, Stream.HYPOTHESES)), n_hypotheses)


def apply_rule(
    rule: UpdateRule, model: Model, indices: IntArray, labels: IntArray, gamma: float
) -> UpdateResult:
    """Return the outcome of updating a model's posterior with newly acquired labels (b,)."""
    rows, targets = labelled(model, indices, labels)
    return rule.apply(model.posterior, rows, targets, gamma)


def updated_model(
    rule: UpdateRule, model: Model, indices: IntArray, labels: IntArray, gamma: float
) -> Model:
    """Return the model after an update with newly acquired labels (b,).

    Instances without a label (NO_LABEL) teach nothing.
    """
    known = labels != NO_LABEL
    if not known.any():
        return model
    if not known.all():
        indices, labels = indices[known], labels[known]
    return replace(model, posterior=apply_rule(rule, model, indices, labels, gamma).posterior)


def step_size(
    gamma: StepSize,
    rule: UpdateRule,
    model: Model,
    pool: Pool,
    n_new: int,
    settings: LearnerSettings,
    cycle: int,
) -> float:
    """Return a step size: gamma itself, or for ``auto`` the best in repeated hold-out validation.

    Each split trains a last layer, by the configured solver, on part of the labelled instances and
    the model's present features. A step that suits the exact optimum does not suit the recipe's
    200 epochs towards it, so the solver must be the one that trained the model.

    Args:
        gamma: as configured.
        rule: the update whose step size is sought.
        model: whose features are used.
        pool: what is labelled.
        n_new: how many labels the update will bring.
        settings: of the learner that trained the model, with the posterior that is updated.
        cycle: numbers the random splits.

    Raises:
        ValueError: ``auto`` with fewer than three labelled instances.
    """
    if gamma != "auto":
        return gamma
    rows, targets = labelled(model, pool.indices, pool.labels)
    classes = model.posterior.mean.shape[0]

    retrain = Retraining(classes, settings, cycle)

    def fits(positions: Tensor) -> Iterator[LastLayerPosterior]:
        trained = retrain.each(rows, targets, positions)
        for places, weights in zip(positions, trained, strict=True):
            yield posterior_of(weights, rows[places], settings.posterior)

    rng = generator(settings.seed, Stream.STEP_SIZE, cycle)
    return choose_gamma(rule, fits, rows, targets, n_new, rng)


def labelled(model: Model, indices: IntArray, labels: IntArray) -> tuple[Tensor, Tensor]:
    """Return the features (N, D) and labels (N,) of pool instances, on the model's device."""
    rows = model.pool[torch.from_numpy(indices)]
    return rows, torch.from_numpy(labels).to(rows.device)
