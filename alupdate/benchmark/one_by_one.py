"""Look-ahead in lean tensor code that takes one candidate after the other.

No model is copied and no D x D matrix touched per candidate; but each meets the evaluation points
on its own, through its updated weights (batches) or a kernel that every step computes anew (greedy
selection). Classes come first in the logits (C, T): the loss then runs along contiguous rows.
"""

import torch
from torch import Tensor

from alupdate.laplace.dual import update_batches
from alupdate.laplace.posterior import require_shared
from alupdate.laplace.second_order import second_order
from alupdate.strategies.lookahead import require_oracle
from alupdate.strategies.query import Positions, Query


def losses_one_by_one(query: Query, batches: Positions) -> Tensor:
    """Return the oracle's mean loss (M,) after the update on each of batches (M, b)."""
    oracle = require_oracle(query)
    posterior = require_shared(query.posterior, "second_order")
    projected = posterior.project(query.features)[0]
    points, targets = oracle.features.T.contiguous(), oracle.labels[None]
    losses = []
    for batch in torch.from_numpy(batches):
        directions = projected[batch]
        update = update_batches(
            (directions @ query.features[batch].T)[None],
            query.logits[batch][None],
            oracle.candidate_labels[batch][None],
            query.gamma,
            posterior.likelihood,
        )
        weights = posterior.mean.addmm(update.coefficients[0].T, directions, alpha=query.gamma)
        losses.append(_mean_nll(weights @ points, targets))
    return torch.stack(losses)


def greedy_one_by_one(query: Query, size: int) -> list[int]:
    """Return ``size`` positions: at every step the candidate after which the loss is smallest."""
    oracle = require_oracle(query)
    posterior = require_shared(query.posterior, "second_order")
    labels, targets = oracle.candidate_labels, oracle.labels[None]
    picked: list[int] = []
    while len(picked) < size:
        projected = posterior.project(query.features)[0]
        kernel = projected @ oracle.features.T
        lengths = (projected * query.features).sum(dim=1)
        predictions = torch.softmax(posterior.logits(query.features), dim=1)
        weights = posterior.curvatures(predictions.log())[:, 0]
        steps = query.gamma / (1 + weights * lengths)
        residuals = torch.nn.functional.one_hot(labels, predictions.shape[1]) - predictions
        logits = (oracle.features @ posterior.mean.T).T.contiguous()
        losses = torch.stack(
            [
                _mean_nll(torch.addr(logits, residual, row), targets)
                for residual, row in zip(steps[:, None] * residuals, kernel, strict=True)
            ]
        )
        losses[picked] = torch.inf
        picked.append(int(losses.argmin()))
        pick = picked[-1:]
        posterior = second_order(
            posterior, query.features[pick], labels[pick], query.gamma
        ).posterior
    return picked


def _mean_nll(logits: Tensor, targets: Tensor) -> Tensor:
    """Return the mean loss of logits (C, T), which are overwritten, for labels (1, T)."""
    logits -= logits.amax(dim=0, keepdim=True)
    true = logits.gather(0, targets)[0]
    return (logits.exp_().sum(dim=0).log_() - true).mean()
