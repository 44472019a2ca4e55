"""Look-ahead in plain large calls: what a GPU can do when it is given much work at a time."""

from collections.abc import Callable

import torch
from torch import Tensor

from alupdate.laplace.second_order import SecondOrder
from alupdate.strategies.base import Positions, Query
from alupdate.strategies.lookahead import require_oracle

NUMBERS = 2 * 10**8
"""How many logits and gathered numbers of the kernel are in memory at a time."""


def lookahead_large_calls(query: Query, batches: Positions) -> Callable[[], Tensor]:
    """Return what computes the oracle's mean loss (M,) after the Gaussian update on each batch.

    The kernel is two matrix products; then, for as many batches at a time as ``NUMBERS`` allows,
    its rows are gathered, and one ``baddbmm`` and one ``logsumexp`` follow. The coefficients of
    the updates are known beforehand, and so are the logits before them.

    Args:
        query: with an oracle.
        batches: (M, b), positions of candidates.
    """
    oracle = require_oracle(query)
    posterior = SecondOrder().shared(query.posterior)
    places = torch.from_numpy(batches).to(query.features.device)
    weights = coefficients_of(query, places).mT.contiguous()
    points, labels = oracle.features, oracle.labels
    base = (points @ posterior.mean.T).T.contiguous()
    size = max(1, NUMBERS // (len(points) * sum(weights.shape[1:])))

    def step() -> Tensor:
        kernel = (query.features @ posterior.covariance) @ points.T
        losses = []
        for start in range(0, len(places), size):
            part = slice(start, start + size)
            logits = torch.baddbmm(base, weights[part], kernel[places[part]])
            true = logits.gather(1, labels.expand(len(logits), 1, -1))[:, 0]
            losses.append((torch.logsumexp(logits, dim=1) - true).mean(dim=1))
        return torch.cat(losses)

    return step


def coefficients_of(query: Query, places: Tensor) -> Tensor:
    """Return the dual form (M, b, C) of the updates on batches at places (M, b)."""
    oracle, rule = require_oracle(query), SecondOrder()
    posterior = rule.shared(query.posterior)
    rows = query.features[places]
    gram = (rows @ posterior.covariance) @ rows.mT
    labels = oracle.candidate_labels[places]
    return rule.coefficients(posterior, gram[:, None], query.logits_at(places), labels, query.gamma)
