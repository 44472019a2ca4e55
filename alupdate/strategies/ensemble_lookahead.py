"""Ensemble look-ahead: batches by strategies and by greedy search, improved by exchanges."""

from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import numpy as np
import torch
from pydantic.dataclasses import dataclass as option
from torch import Tensor
from typing_extensions import override

from alupdate.config.values import SETTINGS, Count, Positive, UpdateName
from alupdate.laplace.losses import LossSum, true_loss
from alupdate.laplace.names import MAP
from alupdate.strategies.base import Positions, Query, best
from alupdate.strategies.ensemble import proposed
from alupdate.strategies.lookahead import (
    GreedyLookahead,
    HypotheticalUpdates,
    OracleOption,
    require_oracle,
)


@dataclass(frozen=True)
class Exchanges:
    """Exchanges of one member of a batch, each judged by an update with the whole batch.

    Attributes:
        query: with a rule; all of its R candidates are free.
        updates: on all candidates, so that places are positions.
        labels: (R,), true labels of the candidates.
        loss_sum: on the evaluation points.
        n_tried: how many candidates are tried in place of a member.
    """

    query: Query
    updates: HypotheticalUpdates
    labels: Tensor
    loss_sum: LossSum
    n_tried: int

    def losses(self, batches: Tensor) -> Tensor:
        """Return the loss (M,) after the update with each of batches (M, b)."""
        return self.updates.losses(self.query, batches, self.labels[batches], self.loss_sum)

    def improved(self, batch: Tensor, limit: int) -> Tensor:
        """Return a batch (b,) whose loss is not above that of the given one (b,).

        Members are dropped in turn, the first one first. The candidate that leaves the smallest
        loss comes to the end of the batch, if that loss is smaller than before. It ends when no
        member can be exchanged, or after ``limit`` drops.
        """
        loss, place, failed = self.losses(batch[None])[0], 0, 0
        for _ in range(limit):
            kept = torch.cat([batch[:place], batch[place + 1 :]])
            others = self._promising(batch, kept)
            if failed == len(batch) or not len(others):
                break
            tried = torch.cat([kept.expand(len(others), -1), others[:, None]], dim=1)
            losses = self.losses(tried)
            least = losses.argmin()
            if losses[least] < loss:
                batch, loss, failed = tried[least], losses[least], 0
            else:
                place, failed = place + 1, failed + 1
            place %= len(batch)
        return batch

    def _promising(self, batch: Tensor, kept: Tensor) -> Tensor:
        """Return up to ``n_tried`` candidates outside a batch (b,) to join ``kept`` (b - 1,).

        They are those of smallest loss after an update with ``kept`` and then one with each alone,
        which is one step with a kernel that all of them share. For the second-order update that is
        the loss of the whole batch; for the MAP update it is close to it.
        """
        outside = torch.ones_like(self.labels, dtype=torch.bool).index_fill(0, batch, False)
        others = outside.nonzero()
        if len(others) <= self.n_tried:
            return others[:, 0]
        query, updates = self.query, self.updates
        if len(kept):
            labels = self.labels[kept]
            update = updates.rule.apply(query.posterior, query.features[kept], labels, query.gamma)
            query = query.after(kept, labels, update)
            updates = updates.after_batch(query, kept, update)
        losses = updates.losses(query, others, self.labels[others], self.loss_sum)
        return others[losses.topk(self.n_tried, largest=False).indices, 0]


@option(frozen=True, config=SETTINGS, kw_only=True)
class EnsembleLookahead(OracleOption):
    """Look-ahead over batches of an ensemble and of greedy search, improved by exchanges.

    An ORACLE like ``Lookahead`` and ``Boss``, stronger than the one and far cheaper than the other.
    The strategies of ``Boss`` propose ``n_batches`` batches. Their members, and the
    ``n_candidates`` candidates of smallest loss after an update with each alone, are what the rest
    of the search is about: ``GreedyLookahead`` builds another batch of them; the batch of smallest
    loss after an update with its true labels is kept; and members are exchanged while that loss
    falls. No update is made for any of it but in the dual form.

    The update is MAP by default, which comes closer to retraining than one second-order step, with
    the step size of Bayes' rule.
    For R candidates in the search, O(P T C) for the first look at all, O(b R T C) for greedy
    search, and O(R T (b + C)) per exchange.

    Attributes:
        n_batches: proposed by all strategies together.
        largest_subset: candidates in a subset at most.
        n_candidates: of smallest loss.
        n_tried: exactly, in each exchange.
        n_exchanges: tried at most; each drops one member.
        update: the update rule.
        gamma: step size of the updates; None for ``update.gamma``.
    """

    name: Literal["ensemble_lookahead"] = "ensemble_lookahead"
    uses_labels: ClassVar[bool] = True
    update: UpdateName = MAP
    n_batches: Count = 10
    largest_subset: Count = 200
    n_candidates: Count = 50
    n_tried: Count = 4
    n_exchanges: Count = 4
    gamma: Positive | None = 1.0

    @override
    def select(self, query: Query, size: int) -> Positions:
        if self.gamma is not None:
            query = replace(query, gamma=self.gamma)
        batches = proposed(query, size, self.n_batches, self.largest_subset)
        greedy = GreedyLookahead(loss=self.loss, update=self.update)
        single = greedy.utilities(query)
        promising = best(single, query, min(self.n_candidates, len(query.free())))
        members = np.union1d(batches, promising)
        part = query.subset(members)
        starts = np.searchsorted(members, batches)
        starts = np.concatenate([starts, greedy.select(part, size)[None]])
        return members[self._search(part, len(members), torch.from_numpy(starts))]

    def _search(self, query: Query, count: int, starts: Tensor) -> Positions:
        """Return the best of batches (M, b), after exchanges with the first candidates (count,)."""
        oracle, starts = require_oracle(query), starts.to(query.features.device)
        free = torch.arange(count, device=starts.device)
        updates = HypotheticalUpdates.of(query, free, oracle.features).keeping_kernel()
        labels, loss_sum = oracle.candidate_labels[free], true_loss(oracle.labels, self.loss)
        exchanges = Exchanges(query, updates, labels, loss_sum, self.n_tried)
        first = starts[exchanges.losses(starts).argmin()]
        return exchanges.improved(first, self.n_exchanges).numpy(force=True)
