"""The step size by repeated hold-out validation: ``gamma: auto``.

Repeated hold-out validation [Burman1989] on the labels that are there: the model is fitted on a
random part of the labelled instances, updated with others at every step size of a grid, and
evaluated on what remains. The step size with the smallest mean loss is chosen. Each split trains as
the learner does, and costs one fit and as many updates as the grid has values.

The mean over splits decides, not the median: steps that are too large fail rarely but badly. For
the same reason there are 16 splits rather than 8. ``docs/findings/updates.md`` has the study by
which this was chosen, and what it costs.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from alupdate.laplace.posterior import LastLayerPosterior
from alupdate.laplace.rules import UpdateRule, mean_changes

Fit = Callable[[Tensor, Tensor], LastLayerPosterior]
"""Trains a last layer on features (N, D) and labels (N,), and returns the posterior around it."""

GRID = tuple(float(gamma) for gamma in 10.0 ** np.arange(-1, 2.25, 0.25))
"""0.1 to 100 in quarter decades."""

N_SPLITS = 16

MIN_LABELS = 3
"""One to fit on, one to update with, one to evaluate on."""


def choose_gamma(
    rule: UpdateRule,
    fit: Fit,
    features: Tensor,
    labels: Tensor,
    n_new: int,
    rng: np.random.Generator,
) -> float:
    """Return the gamma of ``GRID`` with the smallest loss in repeated hold-out validation.

    The mean of ``holdout_losses`` over ``N_SPLITS`` splits decides; of equals, the smallest gamma.
    No test data and no label beyond those already acquired are seen.

    Args:
        rule: the update whose step size is sought.
        fit: trains the model that is updated, as the learner would.
        features: (N, D), of all labelled instances, those of the coming update included.
        labels: (N,), their class indices.
        n_new: how many labels the real update brings.
        rng: source of the splits.

    Raises:
        ValueError: the rule's step size cannot be chosen on the grid, or fewer than three labelled
            instances cannot be split in three.

    Example:
        >>> import numpy as np, torch
        >>> from alupdate.laplace.step_size import choose_gamma
        >>> from alupdate.laplace.updates import fit, update_rule
        >>> features = torch.eye(4).repeat(5, 1)
        >>> labels = torch.arange(4).repeat(5)
        >>> def train(rows, targets):
        ...     weights = torch.zeros(4, 4).index_add_(0, targets, rows)
        ...     return fit(weights, rows)
        >>> rng = np.random.default_rng(0)
        >>> choose_gamma(update_rule("second_order"), train, features, labels, n_new=4, rng=rng)
        100.0
    """
    if not rule.tunable:
        raise ValueError(f"gamma: auto is not for the update rule {rule.name}: give a number")
    if len(labels) < MIN_LABELS:
        raise ValueError(
            f"gamma: auto needs {MIN_LABELS} labelled instances, there are {len(labels)}"
        )
    losses = torch.stack(
        [holdout_losses(rule, fit, features, labels, n_new, rng) for _ in range(N_SPLITS)]
    )
    return GRID[int(losses.mean(dim=0).argmin())]


def holdout_losses(
    rule: UpdateRule,
    fit: Fit,
    features: Tensor,
    labels: Tensor,
    n_new: int,
    rng: np.random.Generator,
) -> Tensor:
    """Return the negative log-likelihood (len(GRID),) on one random hold-out set, in float64.

    A quarter of the instances, at least one, is held out; ``n_new`` of the others, but no more
    than half of them, are the new labels; the rest is fitted. All gammas share the fitted model
    and the kernel, so that a split costs one fit and len(GRID) updates of rank n_new.

    Args:
        rule, fit, features, labels, n_new: as in ``choose_gamma``.
        rng: source of the split.
    """
    order = torch.from_numpy(rng.permutation(len(labels))).to(features.device)
    n_held_out = max(1, len(order) // 4)
    n_update = min(n_new, (len(order) - n_held_out) // 2)
    sizes = [n_held_out, n_update, len(order) - n_held_out - n_update]
    held_out, new, old = torch.split(order, sizes)
    posterior = fit(features[old], labels[old])
    rows = features[new]
    directions = rule.directions(posterior, rows)
    gram = (directions @ rows.T)[None]
    logits, before = posterior.logits(rows)[None], posterior.logits(features[held_out])
    losses = []
    for gamma in GRID:
        coefficients = rule.coefficients(posterior, gram, logits, labels[new][None], gamma)
        change = mean_changes(directions[:, None], coefficients)[0]
        after = before + features[held_out] @ change.T
        losses.append(torch.nn.functional.cross_entropy(after.double(), labels[held_out]))
    return torch.stack(losses)
