"""The loss to expect on many points after an update with one instance, for each of its labels.

Derivation. Where the update is one step along the residual, the change of the logits of a point t
by an instance with prediction p is a_t (e_y - p), a_t = step * k_t. The label y touches one class:
with g = f_t - a_t p, m = max g, E_c = exp(g_c - m) and the sums over classes S = sum E,
N = sum E (g - m) and Q = sum E^2, which no label enters, the prediction after label y has

    normaliser   Z_y = (S - E_y) + E_y e^a
    entropy      log Z_y - (N - E_y (g_y - m) + E_y e^a (g_y - m + a)) / Z_y
    1 - |p|^2    1 - ((Q - E_y^2) + E_y^2 e^2a) / Z_y^2
    1 - max p    1 - max(E_y e^a, max_{c != y} E_c) / Z_y

so that all labels of a candidate cost O(T C), where the updates one by one cost O(T C) each. With
y the most probable class, E_y = 1, the differences in brackets would cancel; so the sums run over
the classes with E < 1, to which n - E_y is added, n being the number of classes with E = 1.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from alupdate.laplace.losses import GROUP_NUMBERS, Loss

LARGEST_STEP = 40.0
"""Of a logit: beyond, the squared exponentials of a step leave the range of 32-bit floats."""


@dataclass(frozen=True)
class _Group:
    """The terms above for G candidates and L labels, over T points.

    Attributes:
        shifted: (G, C, T), g - m.
        steps: (G, 1, T), a.
        labels: (G, L, T), the labels, the same for every point.
        own: (G, L, T), E_y.
        below: (G, C, T), E where it is below 1, otherwise 0.
        ties: (G, 1, T), n.
    """

    shifted: Tensor
    steps: Tensor
    labels: Tensor
    own: Tensor
    below: Tensor
    ties: Tensor

    def others(self, below: Tensor, own: Tensor) -> Tensor:
        """Return sums (G, L, T) over the classes c != y of a power of E: (G, C, T), (G, L, T)."""
        return below.sum(dim=1, keepdim=True) + (self.ties - own)


def losses_for_labels(
    steps: Tensor, logits: Tensor, predictions: Tensor, labels: Tensor, loss: Loss
) -> Tensor:
    """Return the mean loss (R, L) to expect on T points after each of L labels of R candidates.

    Args:
        steps: (R, T), a_t of every candidate; none above ``LARGEST_STEP``.
        logits: (T, C), of the points before the update.
        predictions: (R, C), p of the candidates.
        labels: (R, L), class indices.
        loss: as in ``losses.expected_loss``.
    """
    transposed = logits.T.contiguous()
    size = max(1, GROUP_NUMBERS // max(1, logits.numel()))
    starts = range(0, len(steps), size)
    return torch.cat(
        [
            _losses(
                _group(
                    transposed,
                    steps[start : start + size, None],
                    predictions[start : start + size, :, None],
                    labels[start : start + size, :, None],
                ),
                loss,
            )
            for start in starts
        ]
    )


def _group(logits: Tensor, steps: Tensor, predictions: Tensor, labels: Tensor) -> _Group:
    """Return the terms; logits (C, T), steps (G, 1, T), predictions (G, C, 1), labels (G, L, 1)."""
    shifted = torch.baddbmm(logits, predictions, steps, alpha=-1)
    shifted -= shifted.amax(dim=1, keepdim=True)
    powers = shifted.exp()
    places = labels.expand(-1, -1, steps.shape[2])
    own, everything = powers.gather(1, places), powers.sum(dim=1, keepdim=True)
    below = powers.masked_fill_(powers == 1, 0)
    ties = (everything - below.sum(dim=1, keepdim=True)).round_()
    return _Group(shifted, steps, places, own, below, ties)


def _losses(group: _Group, loss: Loss) -> Tensor:
    growth = group.steps.exp()
    grown = group.own * growth
    total = group.others(group.below, group.own) + grown
    if loss == "nll":
        height = group.shifted.gather(1, group.labels)
        weighted = (group.below * group.shifted).sum(dim=1, keepdim=True) - group.own * height
        values = total.log() - (weighted + grown * (height + group.steps)) / total
    elif loss == "brier":
        squares = group.others(group.below.square(), group.own.square())
        values = 1 - (squares + grown.square()) / total.square()
    else:
        alone = (group.own == 1) & (group.ties == 1)
        rival = torch.where(alone, group.below.amax(dim=1, keepdim=True), 1.0)
        values = 1 - torch.maximum(grown, rival) / total
    return values.mean(dim=2)
