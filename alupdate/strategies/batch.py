"""How a batch is built from a strategy: at once, or one by one with an update in between."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from alupdate.config import BatchConfig, SequentialBatch
from alupdate.laplace.updates import Rule
from alupdate.strategies.query import Positions, Query, Strategy

BuyLabels = Callable[[Positions], Tensor]
"""Buys the labels (b,) of candidates (b,); every call is a purchase."""


def build_batch(
    strategy: Strategy, query: Query, batch: BatchConfig, rule: Rule, buy: BuyLabels
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
    strategy: Strategy, query: Query, batch: SequentialBatch, rule: Rule, buy: BuyLabels
) -> Positions:
    """Pick ``every`` instances, buy their labels, update the model, pick the next ones."""
    chosen: list[Positions] = []
    while (missing := batch.size - sum(map(len, chosen))) > 0:
        picked = strategy.select(query, min(batch.every, missing))
        chosen.append(picked)
        if missing > len(picked):
            query = after_labels(query, picked, buy(picked), rule)
    return np.concatenate(chosen)


def after_labels(query: Query, picked: Positions, labels: Tensor, rule: Rule) -> Query:
    """Return the query's state after the model was updated with the labels of ``picked``."""
    positions = torch.from_numpy(picked).to(query.features.device)
    rows = query.features[positions]
    return query.after(positions, labels, rule.update(query.posterior, rows, labels, query.gamma))
