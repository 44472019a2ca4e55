"""BoSS: the best of many batches by many strategies, judged by retraining. An upper baseline."""

from collections.abc import Iterator
from typing import ClassVar, Literal, Protocol, runtime_checkable

import numpy as np
import torch
from pydantic.dataclasses import dataclass
from torch import Tensor
from typing_extensions import override

from alupdate.config.values import RETRAIN, SETTINGS, Count, UpdateName, UpdateOrRetrain
from alupdate.laplace.losses import losses_of_logits, true_loss
from alupdate.laplace.names import ERROR, Loss
from alupdate.strategies.base import Positions, Query
from alupdate.strategies.ensemble import proposed
from alupdate.strategies.lookahead import OracleOption, require_oracle


@runtime_checkable
class TrainsSeveral(Protocol):
    """What trains last layers, and can share work between several."""

    def each(self, features: Tensor, labels: Tensor, positions: Tensor) -> Iterator[Tensor]:
        """Yield the weights (C, D) of layers, each trained on the instances of a row (M, N)."""
        ...


@dataclass(frozen=True, config=SETTINGS, kw_only=True)
class Boss(OracleOption):
    """BoSS: the best batch of an ensemble of strategies, with true labels [Huseljic2026b].

    An ORACLE: ten strategies (random, TypiClust, DropQuery, binary BAIT, margin, BADGE, CoreSet,
    ALFA-Mix, and TypiClust and DropQuery with true class balance) propose ``n_batches`` batches,
    each from a random subset of the candidates of a size of its own. The last layer is retrained on
    the labelled instances and each batch with its true labels. The batch with the fewest errors on
    an evaluation set with true labels is chosen; of equals it is the first.

    Retraining is the run's own (``training``), on the features as they are. The authors retrain for
    50 epochs, with random weights and orders of their own for every batch. The run trains for 200
    epochs by default, from the same weights and in the same order for every batch as for the model
    that follows. So with a frozen backbone, a run that retrains, and the test set for evaluation,
    each batch is known by the very errors that its choice leads to. With an update rule instead of
    ``retrain``, updates take its place. The authors draw at random how many batches each strategy
    proposes; here they take turns. Their typical members of a class are found on features of any
    length where these have length 1.

    O(n_batches) queries and trainings: seconds per query.

    Attributes:
        n_batches: proposed by all strategies together.
        largest_subset: candidates in a subset at most.
        update: ``retrain``, or an update rule.
    """

    name: Literal["boss"] = "boss"
    uses_labels: ClassVar[bool] = True
    loss: Loss = ERROR
    update: UpdateOrRetrain = RETRAIN
    n_batches: Count = 100
    largest_subset: Count = 5000

    @property
    @override
    def hypothetical_update(self) -> UpdateName | None:
        return None if self.update == RETRAIN else self.update

    @override
    def select(self, query: Query, size: int) -> Positions:
        batches = proposed(query, size, self.n_batches, self.largest_subset)
        best: Positions = batches[int(self.losses(query, batches).argmin())]
        return best

    @override
    def losses(self, query: Query, batches: Positions) -> Tensor:
        """Return the loss (M,) on the evaluation set after learning each of batches (M, b)."""
        if self.update != RETRAIN:
            return super().losses(query, batches)
        oracle = require_oracle(query)
        loss = true_loss(oracle.labels, self.loss)
        losses = [
            losses_of_logits((weights @ oracle.features.T)[None], loss)[0]
            for weights in _retrained(query, batches)
        ]
        return torch.stack(losses)


def _retrained(query: Query, batches: Positions) -> Iterator[Tensor]:
    """Yield the weights (C, D) of last layers, each trained on one of batches (M, b), too.

    Raises:
        ValueError: the query has nothing that trains.
    """
    retrain, known, device = query.retrain, len(query.labelled_labels), query.features.device
    if retrain is None:
        raise ValueError("update=retrain needs retrain, a function that trains a last layer")
    found, inverse = np.unique(batches, return_inverse=True)
    members = torch.from_numpy(found).to(device)
    places = torch.from_numpy(inverse.reshape(batches.shape)).to(device)
    rows = torch.cat([query.labelled_features, query.features[members]])
    labels = torch.cat([query.labelled_labels, require_oracle(query).candidate_labels[members]])
    first = torch.arange(known, device=device).expand(len(places), known)
    positions = torch.cat([first, known + places], dim=1)
    several: object = retrain
    if isinstance(several, TrainsSeveral):
        yield from several.each(rows, labels, positions)
    else:
        for each in positions:
            yield retrain(rows[each], labels[each])
