"""Update rules: what they have in common, and how they are found.

An update rule is a frozen dataclass that subclasses ``UpdateRule`` in a module of this package,
and a file in ``conf/update`` of the same name with its default settings. Nothing else lists the
rules.
"""

import importlib
import inspect
import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import ClassVar, Generic, Protocol

import torch
from torch import Tensor

from alupdate.laplace.inputs import check_positive, features_for, labels_for
from alupdate.laplace.names import Likelihood
from alupdate.laplace.posterior import LastLayerPosterior, Layer, Posterior

N_HYPOTHESES = 10_000
"""How many hypotheses [Huseljic2025] weights in the Monte-Carlo update."""


class UpdateResult(Protocol):
    """The result of an update with b labels."""

    @property
    def posterior(self) -> LastLayerPosterior:
        """The posterior after the update."""
        ...

    @property
    def added_precision(self) -> Tensor:
        """The weights (b, K) that the new instances got in the precision."""
        ...

    def new_logits(self, logits: Tensor, features: Tensor) -> Tensor:
        """Return the logits (N, C) after the update from those before it.

        Args:
            logits: (N, C), before the update.
            features: (N, D), bias column included.
        """
        ...


@dataclass(frozen=True)
class LowRankUpdate(Generic[Layer]):
    """The result of an update with b labels that changed the mean by a matrix of rank b.

    Attributes:
        posterior: after the update; its mean is the old one plus ``coefficients^T directions``.
        directions: (b, D).
        coefficients: (b, C).
        added_precision: (b, K), the weight that each new instance got in the precision.
    """

    posterior: Layer
    directions: Tensor
    coefficients: Tensor
    added_precision: Tensor

    def new_logits(self, logits: Tensor, features: Tensor) -> Tensor:
        """Return the new logits (N, C) from the old ones, in O(N b (D + C)) instead of O(N D C)."""
        return torch.addmm(logits.T, self.coefficients.T, self.directions @ features.T).T


@dataclass(frozen=True)
class UpdateRule(ABC):
    """Learns from new labels by a closed-form or converged update of the last-layer posterior.

    A rule is a pure function of its arguments: it changes none of them, and draws the same random
    numbers in every call. Subclasses are frozen dataclasses whose fields have defaults; of the
    settings ``seed`` and ``n_hypotheses`` they get those that they have as fields.

    Attributes:
        name: of the rule, and of its file in ``conf/update``.
        likelihoods: of the posteriors that the rule can update.
        tunable: whether ``step_size.choose_gamma`` can choose the step size.
        projects: whether ``directions`` are Sigma_k phi, and so shrink as labels come in.
    """

    name: ClassVar[str]
    likelihoods: ClassVar[tuple[Likelihood, ...]]
    tunable: ClassVar[bool]
    projects: ClassVar[bool] = True

    def update(
        self, posterior: LastLayerPosterior, features: Tensor, labels: Tensor, gamma: float
    ) -> UpdateResult:
        """Update a posterior with b new labels, all arguments checked.

        Args:
            posterior: before the update; it is left as it is.
            features: (b, D), of the newly labelled instances, or (b, D - 1) where the last column
                of the weights is the bias; of the weights' type and device.
            labels: (b,), class indices.
            gamma: step size. 1 is the Bayesian answer for ``map`` and ``monte_carlo``; the others
                want tuning.

        Returns:
            The new posterior, with what leads from old logits to new ones.

        Raises:
            ValueError: the rule does not support the posterior's likelihood, or an argument has
                the wrong type, shape or value.

        Example:
            >>> import torch
            >>> from alupdate.laplace.updates import fit, update_rule
            >>> weights = torch.tensor([[2.0, 0.0], [0.0, 2.0]])
            >>> features = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
            >>> posterior = fit(weights, features, likelihood="per_class")
            >>> new_features, new_labels = torch.tensor([[1.0, 1.0]]), torch.tensor([0])
            >>> posterior.predict(new_features)
            tensor([[0.5000, 0.5000]])
            >>> result = update_rule("map").update(posterior, new_features, new_labels, gamma=1.0)
            >>> result.posterior.predict(new_features)
            tensor([[0.7280, 0.2720]])
        """
        self.check(posterior)
        check_positive("gamma", gamma)
        rows = features_for(posterior.mean, features)
        return self.apply(posterior, rows, labels_for(rows, labels, len(posterior.mean)), gamma)

    @abstractmethod
    def apply(
        self, posterior: LastLayerPosterior, features: Tensor, labels: Tensor, gamma: float
    ) -> UpdateResult:
        """Return what ``update`` returns, for tensors that need no check: for inner loops.

        Args:
            posterior: before the update.
            features: (b, D), bias column included.
            labels: (b,), int64.
            gamma: step size.
        """

    @abstractmethod
    def coefficients(
        self,
        posterior: LastLayerPosterior,
        gram: Tensor,
        logits: Tensor,
        labels: Tensor,
        gamma: float,
    ) -> Tensor:
        """Return the coefficients (M, b, C) of hypothetical updates on each of M batches.

        The new weights of class c are ``old_c + coefficients[m, :, c] @ directions_c[batch m]``.

        Args:
            posterior: before the updates.
            gram: (M, K, b, b), ``directions @ features^T`` within each batch.
            logits: (M, b, C), of the batch members before the update.
            labels: (M, b), the class indices to update with.
            gamma: step size.
        """

    def directions(self, posterior: LastLayerPosterior, features: Tensor) -> Tensor:
        """Return the directions (K, P, D) along which instances (P, D) move the weights.

        K = 1 where they are the same for all classes.
        """
        self.check(posterior)
        return posterior.project(features)

    def step(
        self, posterior: LastLayerPosterior, lengths: Tensor, logits: Tensor, gamma: float
    ) -> Tensor | None:
        """Return the steps (R,) of updates with one instance, where no label decides them.

        For rules whose coefficients of a single instance are ``step * (e_y - p)``, whatever the
        label y; None for the others.

        Args:
            posterior: before the updates.
            lengths: (R,), ``direction @ feature`` of each instance.
            logits: (R, C), of the instances before the update.
            gamma: step size.
        """
        return None

    def check(self, posterior: LastLayerPosterior) -> None:
        """Refuse posteriors that the rule cannot update.

        Raises:
            ValueError: the posterior's likelihood is not among ``likelihoods``.
        """
        likelihood = posterior.likelihood
        if likelihood not in self.likelihoods:
            others = [
                name for name, rule in rule_classes().items() if likelihood in rule.likelihoods
            ]
            raise ValueError(
                f"the update rule {self.name} does not support the likelihood {likelihood}: use "
                f"the likelihood {' or '.join(self.likelihoods)}, or the update rule "
                f"{' or '.join(others)}"
            )

    def shared(self, posterior: LastLayerPosterior) -> Posterior:
        """Return the posterior, for rules that need one covariance for all classes.

        Raises:
            ValueError: as by ``check``.
        """
        self.check(posterior)
        assert isinstance(posterior, Posterior)
        return posterior


@cache
def rule_classes() -> Mapping[str, type[UpdateRule]]:
    """Return the update rules of this package by name."""
    package = importlib.import_module(__name__.rpartition(".")[0])
    found: dict[str, type[UpdateRule]] = {}
    for entry in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        for value in vars(importlib.import_module(entry.name)).values():
            is_rule = isinstance(value, type) and issubclass(value, UpdateRule)
            if is_rule and value.__module__ == entry.name and not inspect.isabstract(value):
                found[value.name] = value
    return found


def rules_for(likelihood: Likelihood) -> list[str]:
    """Return the names of the rules that can update posteriors with a likelihood."""
    return [name for name, rule in rule_classes().items() if likelihood in rule.likelihoods]


def mean_changes(directions: Tensor, coefficients: Tensor) -> Tensor:
    """Return the changes (M, C, D) of the mean weights by each of M hypothetical updates.

    Args:
        directions: (K, M, b, D), of the members of each batch.
        coefficients: (M, b, C), from ``UpdateRule.coefficients``.
    """
    if len(directions) == 1:
        return coefficients.mT @ directions[0]
    return torch.einsum("mbc,cmbd->mcd", coefficients, directions)
