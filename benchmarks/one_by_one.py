"""Look-ahead in lean tensor code that takes one candidate after the other.

No model is copied and no D x D matrix touched per candidate; but each meets the evaluation points
on its own, through its updated weights (batches) or a kernel that every step computes anew (greedy
selection). Classes come first in the logits (C, T): the loss then runs along contiguous rows.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from alupdate.laplace.second_order import SecondOrder, second_order
from alupdate.strategies.base import Positions, Query
from alupdate.strategies.lookahead import require_oracle

Array = NDArray[np.floating]


def losses_one_by_one(query: Query, batches: Positions) -> Tensor:
    """Return the oracle's mean loss (M,) after the Gaussian update on each of batches (M, b)."""
    oracle = require_oracle(query)
    posterior = SecondOrder().shared(query.posterior)
    projected = posterior.project(query.features)[0]
    points, labels = oracle.features.T.contiguous(), oracle.labels[None]
    logits: Array = query.logits.numpy(force=True)
    targets = np.eye(logits.shape[1], dtype=logits.dtype)[oracle.candidate_labels.numpy(force=True)]
    losses = []
    for batch in batches:
        directions = projected[batch]
        gram: Array = (directions @ query.features[batch].T).numpy(force=True)
        coefficients = _coefficients(gram, logits[batch], targets[batch], query.gamma)
        weights = posterior.mean.addmm(
            torch.from_numpy(coefficients.T).to(directions.device), directions
        )
        losses.append(_mean_nll(weights @ points, labels))
    return torch.stack(losses)


def _coefficients(gram: Array, logits: Array, targets: Array, gamma: float) -> Array:
    """Return the dual form of one batch (b, C), with weights of 1.

    With L L^T = I + G, the columns that the steps see are those of L: step i moves logit j by
    gamma L_ji / L_ii times the residual, and the coefficients are gamma L^-T diag(1 / L_ii) R.
    """
    factor = np.linalg.cholesky(gram + np.eye(len(gram), dtype=gram.dtype))
    scales = factor.diagonal()
    gains = gamma * factor / scales
    residuals = targets.copy()
    for i, row in enumerate(logits):
        moved = row + gains[i, :i] @ residuals[:i]
        powers = np.exp(moved - moved.max())
        residuals[i] -= powers / powers.sum()
    solved: Array = np.linalg.solve(factor.T, residuals / scales[:, None])
    return gamma * solved


def greedy_one_by_one(query: Query, size: int) -> list[int]:
    """Return ``size`` positions: at every step the candidate after which the loss is smallest."""
    oracle = require_oracle(query)
    posterior = SecondOrder().shared(query.posterior)
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
