"""Greedy look-ahead: at every step the best of all candidates."""

import numpy as np
import torch

from alupdate.config import GreedyLookaheadStrategy
from alupdate.laplace.losses import true_loss
from alupdate.laplace.updates import Rule
from alupdate.strategies.foresight import Foresight
from alupdate.strategies.lookahead import require_oracle
from alupdate.strategies.query import Positions, Query


class GreedyLookahead:
    """The stronger upper baseline: no sampled batches, but every candidate tried at every step.

    At each step the model is updated on each free candidate with its true label, the loss on the
    evaluation set is measured, and the best candidate joins the batch. Like ``Lookahead`` an
    ORACLE. P candidates cost one rank-one change of (T, C) logits each, O(P T C) per step; the
    kernel between candidates and evaluation points is kept up to date by a rank-one change, too,
    or computed anew at every step where it would take more than ``strategy.memory`` MB.
    """

    needs_oracle = True

    def __init__(self, settings: GreedyLookaheadStrategy, rule: Rule) -> None:
        self._settings, self._rule = settings, rule

    def select(self, query: Query, size: int) -> Positions:
        """See ``Strategy``."""
        oracle = require_oracle(query)
        free = torch.from_numpy(query.free()).to(query.features.device)
        labels = oracle.candidate_labels[free]
        loss_sum = true_loss(oracle.labels, self._settings.loss)
        foresight = Foresight.of(query, self._rule, free, oracle.features)
        numbers = self._settings.memory * 2**20 // query.features.element_size()
        if len(free) * len(oracle.features) <= numbers:
            foresight = foresight.keeping_kernel()
        left = torch.ones_like(free, dtype=torch.bool)
        picked: list[int] = []
        while True:
            places = left.nonzero()
            losses = foresight.losses(query, places, labels[places], loss_sum)
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
