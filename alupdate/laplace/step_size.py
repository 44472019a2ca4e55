"""``gamma: auto``: the step size that would have been best on the labels bought so far."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from alupdate.laplace.posterior import LastLayer
from alupdate.laplace.updates import Rule, mean_changes

Fit = Callable[[Tensor, Tensor], LastLayer]
"""Trains a last layer on features (N, D) and labels (N,), and returns the posterior around it."""

GRID = tuple(float(gamma) for gamma in 10.0 ** np.arange(-1, 2.25, 0.25))
"""0.1 to 100 in quarter decades."""

N_SPLITS = 8


def choose_gamma(
    rule: Rule,
    fit: Fit,
    features: Tensor,
    labels: Tensor,
    n_new: int,
    rng: np.random.Generator,
) -> float:
    """Return the gamma of ``GRID`` with the smallest loss in rehearsals on labelled data.

    A rehearsal fits on a random part of the labelled instances, updates with others at every gamma
    of the grid, and measures the negative log-likelihood of what remains (``rehearse``). The mean
    over ``N_SPLITS`` rehearsals decides; of equals, the smallest gamma. No test data and no label
    beyond those already bought are seen.

    Args:
        rule: the update whose step size is sought.
        fit: trains the model that is updated, as the learner would.
        features: (N, D), of the labelled instances.
        labels: (N,), their class indices.
        n_new: how many labels the real update will bring.
        rng: source of the splits.

    Raises:
        ValueError: fewer than three labelled instances cannot be split in three.
    """
    if len(labels) < 3:
        raise ValueError(f"gamma: auto needs 3 labelled instances, there are {len(labels)}")
    losses = torch.stack(
        [rehearse(rule, fit, features, labels, n_new, rng) for _ in range(N_SPLITS)]
    )
    return GRID[int(losses.mean(dim=0).argmin())]


def rehearse(
    rule: Rule, fit: Fit, features: Tensor, labels: Tensor, n_new: int, rng: np.random.Generator
) -> Tensor:
    """Return the loss (len(GRID),) of one random split, in float64.

    A quarter of the instances, at least one, is kept to measure; ``n_new`` of the others, but no
    more than half of them, are the new labels; the rest is fitted. All gammas share the fitted
    model and the kernel, so that a rehearsal costs one fit and len(GRID) updates of rank n_new.
    """
    order = torch.from_numpy(rng.permutation(len(labels))).to(features.device)
    n_kept = max(1, len(order) // 4)
    n_update = min(n_new, (len(order) - n_kept) // 2)
    kept, new, old = torch.split(order, [n_kept, n_update, len(order) - n_kept - n_update])
    posterior = fit(features[old], labels[old])
    rows = features[new]
    directions = rule.directions(posterior, rows)
    gram = (directions @ rows.T)[None]
    logits, kept_logits = posterior.logits(rows)[None], posterior.logits(features[kept])
    losses = []
    for gamma in GRID:
        coefficients = rule.coefficients(posterior, gram, logits, labels[new][None], gamma)
        change = mean_changes(directions[:, None], coefficients)[0]
        moved = kept_logits + features[kept] @ change.T
        losses.append(torch.nn.functional.cross_entropy(moved.double(), labels[kept]))
    return torch.stack(losses)
