"""A sequential batch without any of the shortcuts: everything is computed anew after each label."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from alupdate.laplace.binary_fisher import binary_weights
from alupdate.laplace.fisher import Information, multiclass
from alupdate.laplace.posterior import Posterior
from alupdate.strategies.base import Positions, Query

Select = Callable[[Query, int], Positions]


def plain_sequential(select: Select, query: Query, labels: Tensor, size: int) -> Positions:
    """Return a batch (size,), picked one by one, with full matrices after each label.

    Args:
        select: the strategy.
        query: before the batch; its posterior has the ``gaussian`` likelihood.
        labels: (P,), of the candidates.
        size: of the batch.
    """
    weights, covariance = query.posterior.mean, _covariance(query)
    picked: list[int] = []
    while len(picked) < size:
        places = torch.tensor(picked, dtype=torch.int64, device=labels.device)
        state = _computed_anew(query, weights, covariance, places, labels)
        pick = int(select(state, 1)[0])
        picked.append(pick)
        row = query.features[pick]
        direction = covariance @ row
        covariance = covariance - torch.outer(direction, direction) / (1 + row @ direction)
        error = -torch.softmax(weights @ row, dim=0)
        error[labels[pick]] += 1
        weights = weights + query.gamma * torch.outer(error, covariance @ row)
    return np.array(picked, dtype=np.int64)


def _covariance(query: Query) -> Tensor:
    posterior = query.posterior
    if not isinstance(posterior, Posterior) or posterior.likelihood != "gaussian":
        raise TypeError("the plain update is written for the gaussian likelihood")
    return posterior.covariance


def _computed_anew(
    query: Query, weights: Tensor, covariance: Tensor, picked: Tensor, labels: Tensor
) -> Query:
    """Return the query under weights (C, D) and a covariance (D, D), with nothing carried over."""
    return replace(
        query,
        kept_logits=query.features @ weights.T,
        posterior=Posterior(weights, covariance, "gaussian"),
        picked=picked,
        picked_labels=labels[picked],
    )


def _binary(features: Tensor, logits: Tensor) -> Information:
    """Return the binary approximation's information: that of one class."""
    weights = binary_weights(logits)[:, None, None]
    return Information(features.double(), weights.sqrt(), weights)


def plain_bait(fisher: str, oversample: int, regularisation: float) -> Select:
    """Return BAIT (Ash et al. 2021, algorithm 1) with the whole matrices (C D, C D) in memory.

    With M the information of what is labelled, F that of the pool, and V V^T that of a candidate,
    Woodbury's identity gives by how much tr(M^-1 F) falls when the candidate is added,

        tr((I + V^T M^-1 V)^-1 V^T M^-1 F M^-1 V),

    and rises, with a minus in front of V^T M^-1 V, when it is taken away. M is inverted once per
    query, and changed by the rank of a candidate after each pick; M^-1 F M^-1 is multiplied out.

    Args:
        fisher: ``binary`` or ``multiclass``.
        oversample: how many times the batch is picked before the worst are dropped.
        regularisation: on the diagonal of M.
    """
    information = multiclass if fisher == "multiclass" else _binary

    def select(query: Query, size: int) -> Positions:
        pool = information(query.features, query.logits)
        known = query.labelled_features
        matrix = _summed(information(known, query.posterior.logits(known)))
        matrix.diagonal().add_(regularisation)
        inverted = torch.cholesky_inverse(torch.linalg.cholesky(matrix))
        total, free, picked = _summed(pool), query.free().tolist(), list[int]()
        for _ in range(min(oversample * size, len(free))):
            pick = free[int(_gains(pool, free, inverted, total, 1).argmax())]
            free.remove(pick)
            picked.append(pick)
            inverted = _changed(inverted, pool.at(torch.tensor([pick])), 1)
        while len(picked) > size:
            dropped = picked.pop(int(_gains(pool, picked, inverted, total, -1).argmin()))
            inverted = _changed(inverted, pool.at(torch.tensor([dropped])), -1)
        return np.array(picked, dtype=np.int64)

    return select


def _summed(information: Information) -> Tensor:
    """Return the sum of the Fisher matrices, (C D, C D), one row of blocks after the other."""
    features, curvatures = information.features, information.curvatures
    rows = [
        features.T @ (curvature[:, :, None] * features[:, None]).flatten(1)
        for curvature in curvatures.unbind(1)
    ]
    return torch.cat(rows)


def _gains(
    pool: Information, positions: list[int], inverted: Tensor, total: Tensor, sign: int
) -> Tensor:
    """Return by how much tr(M^-1 F) falls (1: added) or rises (-1: taken away) by each (R,).

    For many candidates M^-1 F M^-1 is multiplied out; for fewer, whose V have fewer columns than
    it has, M^-1 V is.
    """
    part = torch.tensor(positions, device=total.device)
    chosen = Information(pool.features[part], pool.factors[part], pool.curvatures[part])
    if chosen.factors[:, 0].numel() < len(inverted):
        columns = chosen.spread().flatten(0, 1)
        product = inverted @ columns
        inner = _own(columns.T @ product, len(part))
        right = _own(product.T @ total @ product, len(part))
    else:
        rows, sides = chosen.features, chosen.factors
        inner = sides.mT @ _blocks(rows, inverted) @ sides
        right = sides.mT @ _blocks(rows, inverted @ total @ inverted) @ sides
    inner = sign * inner
    inner.diagonal(dim1=1, dim2=2).add_(1)
    traces: Tensor = torch.linalg.solve(inner, right).diagonal(dim1=1, dim2=2).sum(dim=1)
    return traces


def _own(matrix: Tensor, count: int) -> Tensor:
    """Return the blocks (R, C, C) of each candidate with itself from (R C, R C)."""
    size = len(matrix) // count
    return matrix.view(count, size, count, size).diagonal(dim1=0, dim2=2).permute(2, 0, 1)


def _blocks(rows: Tensor, matrix: Tensor) -> Tensor:
    """Return phi^T Q_cc' phi (R, C, C) of features (R, D), for Q (C D, C D)."""
    count, dimension = rows.shape
    columns = [
        ((rows @ block).view(count, -1, dimension) * rows[:, None]).sum(dim=2)
        for block in torch.split(matrix, dimension)
    ]
    return torch.stack(columns, dim=1)


def _changed(inverted: Tensor, one: Information, sign: int) -> Tensor:
    """Return the inverse (C D, C D) after a candidate was added (1) or taken away (-1)."""
    columns = one.spread().flatten(0, 1)
    product = inverted @ columns
    inner = sign * (columns.T @ product)
    inner.diagonal().add_(1)
    changed: Tensor = inverted - sign * (product @ torch.linalg.solve(inner, product.T))
    return changed
