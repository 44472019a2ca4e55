"""How good a batch is by what its strategy aims at, whoever chose it."""

import numpy as np
import torch
from torch import Tensor

from alupdate.strategies.base import Positions, Query
from alupdate.strategies.diversity import nearest, squared_distances, unit_length

JOINT_LABELS = 20_000
"""Joint labels that are drawn to estimate their entropy."""


def potential(query: Query, batch: Positions) -> tuple[float, float]:
    """Return BADGE's k-means++ potential: the mean squared distance of gradients to the batch's.

    The second number counts the origin among the batch, as scikit-activeml's BADGE does. The
    gradients (P, C D) are written out.
    """
    probabilities = torch.softmax(query.logits.double(), dim=1)
    predicted = torch.nn.functional.one_hot(probabilities.argmax(dim=1), probabilities.shape[1])
    gradients = ((probabilities - predicted)[:, :, None] * query.features[:, None]).flatten(1)
    distances = nearest(gradients, gradients[batch])
    lengths = gradients.square().sum(dim=1)
    return float(distances.mean()), float(torch.minimum(distances, lengths).mean())


def largest_gap(query: Query, batch: Positions) -> float:
    """Return CoreSet's: the largest distance of a candidate to what is labelled after the batch."""
    known = torch.cat([query.labelled_features, query.features[batch]]).double()
    return float(nearest(query.features.double(), known).amax().sqrt())


def neighbour_distance(query: Query, batch: Positions, neighbours: int) -> float:
    """Return the mean distance of the batch to its nearest neighbours among all instances.

    Features are scaled to unit length; a low number is TypiClust's typicality.
    """
    points = unit_length(torch.cat([query.labelled_features, query.features]).double())
    members = unit_length(query.features[batch].double())
    own_included = squared_distances(members, points).topk(neighbours + 1, largest=False).values
    return float(own_included[:, 1:].sqrt().mean())


def joint_information(probabilities: Tensor, rng: np.random.Generator) -> float:
    """Return the mutual information (nats) of a batch's labels and the weights, BatchBALD's aim.

    The entropy of the joint labels is estimated from labels drawn from the model.

    Args:
        probabilities: (b, S, C), of the batch under S samples of the weights.
        rng: source of the labels.
    """
    exact = probabilities.double()
    cumulative = exact.cumsum(dim=2)
    samples = torch.from_numpy(rng.integers(exact.shape[1], size=JOINT_LABELS))
    joint = exact.new_zeros(JOINT_LABELS, exact.shape[1])
    for member, edges in zip(exact, cumulative, strict=True):
        drawn = torch.from_numpy(rng.random(JOINT_LABELS))[:, None]
        labels = (edges[samples] < drawn * edges[samples][:, -1:]).sum(dim=1)
        joint += member.T[labels].clamp(min=1e-300).log()
    chances = torch.logsumexp(joint, dim=1) - np.log(exact.shape[1])
    single = torch.special.entr(exact).sum(dim=2).mean(dim=1).sum()
    return float(-chances.mean() - single)
