"""Greedy look-ahead: at every step the best of all candidates."""

import numpy as np
import torch
from torch import Tensor

from alupdate.config import GreedyLookaheadStrategy
from alupdate.laplace.losses import MeanLoss, true_loss
from alupdate.laplace.updates import Rule
from alupdate.strategies.foresight import Foresight
from alupdate.strategies.lookahead import require_oracle
from alupdate.strategies.query import Oracle, Positions, Query


class GreedyLookahead:
    """The stronger upper baseline: no sampled batches, but every candidate tried at every step.

    At each step the model is updated on each free candidate with its true label, the loss on the
    evaluation set is measured, and the best candidate joins the batch. Like ``Lookahead`` an
    ORACLE. P candidates cost one rank-one change of (T, C) logits each, O(P T C) per step; the
    kernel between candidates and evaluation points is kept up to date by a rank-one change, too.
    """

    needs_oracle = True

    def __init__(self, settings: GreedyLookaheadStrategy, rule: Rule) -> None:
        self._settings, self._rule = settings, rule

    def select(self, query: Query, size: int) -> Positions:
        """See ``Strategy``."""
        oracle = require_oracle(query)
        free = torch.from_numpy(query.free()).to(query.features.device)
        numbers = self._settings.memory * 2**20 // query.features.element_size()
        fits = numbers // max(1, len(oracle.features))
        if len(free) <= fits:
            return self._within_memory(query, oracle, free, size)
        return self._in_parts(query, oracle, free, size, max(1, fits))

    def _mean_loss(self, oracle: Oracle) -> MeanLoss:
        return true_loss(oracle.labels, self._settings.loss)

    def _within_memory(self, query: Query, oracle: Oracle, free: Tensor, size: int) -> Positions:
        """Keep the kernel of all candidates through the whole batch."""
        mean_loss = self._mean_loss(oracle)
        foresight = Foresight.of(query, self._rule, free, oracle.features)
        labels = oracle.candidate_labels[free]
        left = torch.ones_like(free, dtype=torch.bool)
        picked: list[int] = []
        while True:
            places = left.nonzero()
            losses = foresight.losses(query, places, labels[places], mean_loss)
            place = int(places[losses.argmin()])
            picked.append(int(free[place]))
            if len(picked) == size:
                return np.array(picked, dtype=np.int64)
            left[place] = False
            update = self._rule.update(
                query.posterior, foresight.features[[place]], labels[[place]], query.gamma
            )
            query = query.after(free[[place]], labels[[place]], update)
            foresight = foresight.after(query, place, update)

    def _in_parts(
        self, query: Query, oracle: Oracle, free: Tensor, size: int, fits: int
    ) -> Positions:
        """Compute the kernel of ``fits`` candidates at a time, anew at every step."""
        mean_loss = self._mean_loss(oracle)
        picked: list[int] = []
        while True:
            losses = torch.cat(
                [self._losses(query, oracle, part, mean_loss) for part in torch.split(free, fits)]
            )
            place = int(losses.argmin())
            pick, free = free[[place]], torch.cat([free[:place], free[place + 1 :]])
            picked.append(int(pick))
            if len(picked) == size:
                return np.array(picked, dtype=np.int64)
            label = oracle.candidate_labels[pick]
            rows = query.features[pick]
            update = self._rule.update(query.posterior, rows, label, query.gamma)
            query = query.after(pick, label, update)

    def _losses(self, query: Query, oracle: Oracle, members: Tensor, mean_loss: MeanLoss) -> Tensor:
        foresight = Foresight.of(query, self._rule, members, oracle.features)
        places = torch.arange(len(members), device=members.device)[:, None]
        return foresight.losses(query, places, oracle.candidate_labels[members][:, None], mean_loss)
