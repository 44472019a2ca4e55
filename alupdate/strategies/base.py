"""What a strategy sees, and what it must answer."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from alupdate.config import BatchConfig, SequentialBatch
from alupdate.laplace.posterior import LastLayerPosterior, variances_after
from alupdate.laplace.rules import UpdateResult, UpdateRule
from alupdate.utils.errors import InputError

Positions = NDArray[np.int64]


@dataclass(frozen=True)
class Oracle:
    """Labels that a real annotator has not given: only an upper baseline may see them.

    Attributes:
        candidate_labels: (P,), true labels of the candidates.
        features: (T, D), of the evaluation set.
        labels: (T,), true labels of the evaluation set.
    """

    candidate_labels: Tensor
    features: Tensor
    labels: Tensor


@dataclass(frozen=True)
class Query:
    """The state of the model and of P candidates when a strategy is asked.

    Attributes:
        features: (P, D), of the candidates, bias column included.
        logits: (P, C), of the candidates under the current model.
        posterior: over the last layer's weights.
        chosen: (t,), positions of the candidates that are already in the batch, in order.
        known_features: (K, D), of the instances that were labelled before the batch.
        labelled_labels: (K + t,), labels of these and of those already in the batch.
        gamma: step size of hypothetical updates.
        rng: the source of every random choice.
        oracle: for strategies that declare ``needs_oracle``, otherwise None.
    """

    features: Tensor
    logits: Tensor
    posterior: LastLayerPosterior
    chosen: Tensor
    known_features: Tensor
    labelled_labels: Tensor
    gamma: float
    rng: np.random.Generator
    oracle: Oracle | None = None

    @cached_property
    def taken(self) -> Tensor:
        """(P,), True for candidates that are already in the batch."""
        mask = torch.zeros(len(self.features), dtype=torch.bool, device=self.features.device)
        mask[self.chosen] = True
        return mask

    @cached_property
    def labelled_features(self) -> Tensor:
        """(K + t, D), of the labelled instances, the batch's own included."""
        if not len(self.chosen):
            return self.known_features
        return torch.cat([self.known_features, self.features[self.chosen]])

    @cached_property
    def variances(self) -> Tensor:
        """(P, K), phi^T Sigma_k phi of the candidates: how unsure the posterior is of them."""
        return self.posterior.variances(self.features)

    @cached_property
    def products(self) -> Tensor:
        """(P, t), inner products of the candidates' features with those already in the batch."""
        return self.features @ self.features[self.chosen].T

    def free(self) -> Positions:
        """Return the positions (F,) of the candidates that may still be chosen."""
        return np.flatnonzero(~self.taken.numpy(force=True))

    def after(self, picked: Tensor, labels: Tensor, update: UpdateResult) -> "Query":
        """Return the state after an update with the labels (b,) of candidates ``picked`` (b,).

        Everything changes by terms of rank b, O(P D) per label. ``variances`` and ``products`` are
        refreshed if they have been asked for, and otherwise stay to be computed when they are.
        """
        rows = self.features[picked]
        query = replace(
            self,
            logits=update.new_logits(self.logits, self.features),
            posterior=update.posterior,
            chosen=torch.cat([self.chosen, picked]),
            labelled_labels=torch.cat([self.labelled_labels, labels]),
        )
        known = vars(self)
        if "variances" in known:
            vars(query)["variances"] = variances_after(
                self.variances, self.features, self.posterior, rows, update.added_precision
            )
        if "products" in known:
            vars(query)["products"] = torch.cat([self.products, self.features @ rows.T], dim=1)
        return query


class Strategy(Protocol):
    """Chooses instances to label.

    A strategy keeps no state between queries, changes nothing that it is given, and draws all its
    randomness from ``query.rng``. The same query then gives the same answer in any process.
    """

    needs_oracle: bool

    def select(self, query: Query, size: int) -> Positions:
        """Return ``size`` distinct free positions among the candidates, best first."""
        ...


def best(utilities: Tensor, query: Query, size: int) -> Positions:
    """Return the ``size`` free positions of highest utility (P,); ties go to the first.

    Only what may be among them is sorted: all that is not below the last of them.
    """
    masked = utilities.index_fill(0, query.chosen, -torch.inf)
    if size == 1:
        return masked.argmax().reshape(1).numpy(force=True)  # the first of equals, by its contract
    last = masked.topk(size).values[-1]
    front = torch.logical_not(masked < last).nonzero()[:, 0]
    order = torch.sort(masked[front], descending=True, stable=True).indices
    return front[order[:size]].numpy(force=True).astype(np.int64)


BuyLabels = Callable[[Positions], Tensor]
"""Buys the labels (b,) of candidates (b,); every call is a purchase."""


def build_batch(
    strategy: Strategy, query: Query, batch: BatchConfig, rule: UpdateRule, buy: BuyLabels
) -> Positions:
    """Return ``batch.size`` distinct positions among the candidates, in the order of selection.

    Args:
        strategy: chooses.
        query: the state before the batch.
        batch: size and construction.
        rule: the update between the picks of a sequential batch.
        buy: gives the labels of what was picked, where an update needs them.
    """
    if isinstance(batch, SequentialBatch):
        return _sequential(strategy, query, batch, rule, buy)
    return strategy.select(query, batch.size)


def _sequential(
    strategy: Strategy, query: Query, batch: SequentialBatch, rule: UpdateRule, buy: BuyLabels
) -> Positions:
    """Pick ``every`` instances, buy their labels, update the model, pick the next ones."""
    chosen: list[Positions] = []
    while (missing := batch.size - sum(map(len, chosen))) > 0:
        picked = strategy.select(query, min(batch.every, missing))
        chosen.append(picked)
        if missing > len(picked):
            query = after_labels(query, picked, buy(picked), rule)
    return np.concatenate(chosen)


def after_labels(query: Query, picked: Positions, labels: Tensor, rule: UpdateRule) -> Query:
    """Return the query's state after the model was updated with the labels of ``picked``."""
    positions = torch.from_numpy(picked).to(query.features.device)
    rows = query.features[positions]
    return query.after(positions, labels, rule.apply(query.posterior, rows, labels, query.gamma))


def checked(answer: Any, query: Query, size: int, source: str) -> Positions:
    """Return the answer if it is ``size`` distinct free positions.

    Args:
        answer: what a strategy's ``select`` gave.
        query: what it was asked.
        size: how many positions it was asked for.
        source: the setting that chose the strategy, for the complaint.

    Raises:
        InputError: the answer would corrupt the run.
    """
    positions = np.asarray(answer)
    if positions.shape != (size,) or positions.dtype.kind not in "iu":
        problem = f"shape {positions.shape} and type {positions.dtype}, not {size} integers"
    elif len(np.unique(positions)) < size:
        problem = "the same position twice"
    elif not np.isin(positions, query.free()).all():
        problem = "a position that is taken or beyond the candidates"
    else:
        return positions.astype(np.int64)
    raise InputError(f"{source}: select returned {problem}")
