"""The step size by repeated hold-out validation: ``gamma: auto``.

Repeated hold-out validation [Burman1989] on the labels that are there: the model is fitted on a
random part of the labelled instances, updated with others at every step size of a grid, and
evaluated on what remains. The step size with the smallest mean loss is chosen. Each split trains as
the learner does, and costs one fit and as many updates as the grid has values. The fits do not
depend on each other and see equally many instances, so that they can be made together.

The mean over splits decides, not the median: steps that are too large fail rarely but badly. For
the same reason there are 16 splits rather than 8. ``docs/findings/updates.md`` has the study by
which this was chosen, and what it costs.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from alupdate.laplace.posterior import LastLayerPosterior
from alupdate.laplace.rules import UpdateRule, mean_changes

Fits = Callable[[Tensor], Iterable[LastLayerPosterior]]
"""Positions (M, n) among the labelled instances -> the posteriors around M last layers, each
trained on the instances of its row."""

GRID = tuple(float(gamma) for gamma in 10.0 ** np.arange(-1, 2.25, 0.25))
"""0.1 to 100 in quarter decades."""

N_SPLITS = 16

MIN_LABELS = 3
"""One to fit on, one to update with, one to evaluate on."""


@dataclass(frozen=True)
class Split:
    """Positions of labelled instances, divided in three.

    Attributes:
        held_out: (h,), on which updated models are evaluated: a quarter, at least one.
        new: (b,), with which they are updated: no more than half of the others.
        old: (n,), on which the model is trained.
    """

    held_out: Tensor
    new: Tensor
    old: Tensor

    @classmethod
    def drawn(
        cls, count: int, n_new: int, rng: np.random.Generator, device: torch.device | str = "cpu"
    ) -> "Split":
        """Return a random split of so many instances, with at most ``n_new`` new ones."""
        order = torch.from_numpy(rng.permutation(count)).to(device)
        n_held_out = max(1, count // 4)
        n_update = min(n_new, (count - n_held_out) // 2)
        sizes = [n_held_out, n_update, count - n_held_out - n_update]
        return cls(*torch.split(order, sizes))


def choose_gamma(
    rule: UpdateRule,
    fits: Fits,
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
        fits: trains the models that are updated, as the learner would.
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
        >>> def train(positions):
        ...     for some in positions:
        ...         rows = features[some]
        ...         yield fit(torch.zeros(4, 4).index_add_(0, labels[some], rows), rows)
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
    splits = [Split.drawn(len(labels), n_new, rng, features.device) for _ in range(N_SPLITS)]
    posteriors = fits(torch.stack([split.old for split in splits]))
    losses = [
        holdout_losses(rule, posterior, features, labels, split)
        for split, posterior in zip(splits, posteriors, strict=True)
    ]
    return GRID[int(torch.stack(losses).mean(dim=0).argmin())]


def holdout_losses(
    rule: UpdateRule,
    posterior: LastLayerPosterior,
    features: Tensor,
    labels: Tensor,
    split: Split,
) -> Tensor:
    """Return the negative log-likelihood (len(GRID),) on the held-out set of a split, in float64.

    All gammas share the fitted model and the kernel.

    Args:
        rule, features, labels: as in ``choose_gamma``.
        posterior: around the model that was trained on the split's old instances.
        split: of the labelled instances.
    """
    rows, kept = features[split.new], features[split.held_out]
    new_labels, wanted = labels[split.new][None], labels[split.held_out]
    directions = rule.directions(posterior, rows)
    gram = (directions @ rows.T)[None]
    logits, before = posterior.logits(rows)[None], posterior.logits(kept)
    losses = []
    for gamma in GRID:
        coefficients = rule.coefficients(posterior, gram, logits, new_labels, gamma)
        change = mean_changes(directions[:, None], coefficients)[0]
        after = before + kept @ change.T
        losses.append(torch.nn.functional.cross_entropy(after.double(), wanted))
    return torch.stack(losses)
