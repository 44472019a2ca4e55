"""EPIG: instances whose labels would say most about the labels of the pool."""

from typing import Literal

import torch
from pydantic.dataclasses import dataclass
from torch import Tensor
from typing_extensions import override

from alupdate.config.values import SETTINGS, Count, UpdateName
from alupdate.laplace.names import SECOND_ORDER
from alupdate.laplace.predictive import sample_weights
from alupdate.laplace.tiles import at_once
from alupdate.strategies.base import (
    Positions,
    Query,
    ScoringStrategy,
    StrategyOption,
    sample_of_candidates,
)
from alupdate.strategies.batch_bald import chunk_size, sampled_probabilities
from alupdate.strategies.batches import ImputedBatches
from alupdate.strategies.uncertainty import minus_plogp

_CACHED_NUMBERS = 2**18
"""How many joint probabilities are worked on together: few enough for the processor's cache."""


@dataclass(frozen=True, config=SETTINGS, kw_only=True)
class Epig(StrategyOption, ScoringStrategy):
    """EPIG: the largest expected predictive information gain [BickfordSmith2023].

    The utility is the mutual information of a candidate's label y and the label y' of a target, in
    nats, in the mean over ``n_points`` targets that are drawn from the candidates:

        I(y; y') = H(y) + H(y') - H(y, y'),      p(y, y') = mean_s p_s(y) p_s(y')

    over samples of the weights. What says much about weights that no prediction depends on is worth
    little, other than with BALD. O(P T C^2 S + P S C D + D^3) for T targets and S samples, in
    memory for a bounded number of candidates and targets at a time, and O(T S C) for the targets.

    Attributes:
        n_samples: S, of the posterior.
        n_points: T, targets.
    """

    name: Literal["epig"] = "epig"
    n_samples: Count = 100
    n_points: Count = 100

    @override
    def utilities(self, query: Query) -> Tensor:
        points = sample_of_candidates(query, self.n_points)
        weights = sample_weights(query.posterior, self.n_samples, query.rng)
        size = chunk_size(weights)
        targets = torch.cat([sampled_probabilities(weights, p) for p in torch.split(points, size)])
        return torch.cat(
            [
                predictive_information(sampled_probabilities(weights, rows), targets)
                for rows in torch.split(query.features, size)
            ]
        )


def predictive_information(candidates: Tensor, targets: Tensor) -> Tensor:
    """Return the mean mutual information (R,) of each label with the labels of targets.

    Args:
        candidates: (R, S, C), probabilities under S samples.
        targets: (T, S, C), probabilities under the same samples.
    """
    samples, classes = targets.shape[1:]
    numbers = at_once(targets, _CACHED_NUMBERS)
    tile = max(1, min(len(targets), numbers // classes**2))
    size = max(1, numbers // (tile * classes**2))
    columns = [part.transpose(0, 1).flatten(1) / samples for part in torch.split(targets, tile)]
    joint = torch.cat(
        [_joint_entropies(rows, columns) for rows in torch.split(candidates.mT, size)]
    )
    of_targets = minus_plogp(targets.mean(dim=1)).sum(dim=1).mean()
    return minus_plogp(candidates.mean(dim=1)).sum(dim=1) + of_targets - joint / len(targets)


def _joint_entropies(rows: Tensor, columns: list[Tensor]) -> Tensor:
    """Return sum_t H(y, y_t) (R,) of rows (R, C, S) with blocks of targets, (S, t C) each."""
    flat = rows.flatten(0, 1)
    total = flat.new_zeros(len(rows))
    for block in columns:
        total += minus_plogp(flat @ block).view(len(rows), -1).sum(dim=1)
    return total


@dataclass(frozen=True, config=SETTINGS, kw_only=True)
class Parbals(StrategyOption, ScoringStrategy):
    """ParBaLS: EPIG with sampled labels and updates within the batch [Hu2025].

    Partial batch label sampling: after each pick ``n_models`` models are updated, each with a label
    drawn from its own prediction, and the next pick has the highest mean EPIG over the models. It
    is ``Epig`` in the construction ``batches.ImputedBatches``, and chooses what ``strategy=epig
    batch=sequential batch.labels=sampled`` does. Models are updated in place of being retrained.
    A batch costs ``n_models`` times its size as much as EPIG.

    Attributes:
        n_samples: of the posterior, see ``Epig``.
        n_points: targets, see ``Epig``.
        n_models: how many models, each with labels of its own.
        update: the update rule.
    """

    name: Literal["parbals"] = "parbals"
    n_samples: Count = 100
    n_points: Count = 100
    n_models: Count = 5
    update: UpdateName = SECOND_ORDER

    @property
    @override
    def hypothetical_update(self) -> UpdateName:
        return self.update

    @override
    def utilities(self, query: Query) -> Tensor:
        return self._epig.utilities(query)

    @override
    def select(self, query: Query, size: int) -> Positions:
        if query.rule is None:
            raise ValueError("parbals needs an update rule: Query.of(..., rule=...)")
        batches = ImputedBatches(self._epig, query.rule, "sampled", n_samples=self.n_models)
        return batches.select(query, size)

    @property
    def _epig(self) -> Epig:
        return Epig(n_samples=self.n_samples, n_points=self.n_points)
