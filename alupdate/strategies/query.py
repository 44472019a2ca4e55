"""What a strategy sees, and what it must answer."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from alupdate.laplace.posterior import LastLayer

Positions = NDArray[np.int64]


@dataclass(frozen=True)
class Oracle:
    """Labels that a real annotator has not given: only an upper baseline may see them.

    Attributes:
        candidate_labels: (P,), true labels of the candidates.
        features: (T, D), of the evaluation set.
        labels: (T,), true labels of the evaluation set.
    """

    candidate_labels: Tensor
    features: Tensor
    labels: Tensor


@dataclass(frozen=True)
class Query:
    """The state of the model and of P candidates when a strategy is asked.

    Attributes:
        features: (P, D), of the candidates, bias column included.
        logits: (P, C), of the candidates under the current model.
        posterior: over the last layer's weights.
        taken: (P,), True for candidates that are already in the batch under construction.
        labelled_features: (N, D), of the labelled instances, the batch's own included.
        labelled_labels: (N,), their labels.
        gamma: step size of hypothetical updates.
        rng: the source of every random choice.
        oracle: for strategies that declare ``needs_oracle``, otherwise None.
    """

    features: Tensor
    logits: Tensor
    posterior: LastLayer
    taken: Tensor
    labelled_features: Tensor
    labelled_labels: Tensor
    gamma: float
    rng: np.random.Generator
    oracle: Oracle | None = None

    def free(self) -> Positions:
        """Return the positions (F,) of the candidates that may still be chosen."""
        return np.flatnonzero(~self.taken.numpy(force=True))


class Strategy(Protocol):
    """Chooses instances to label.

    A strategy keeps no state between queries, changes nothing that it is given, and draws all its
    randomness from ``query.rng``. The same query then gives the same answer in any process.
    """

    needs_oracle: bool

    def select(self, query: Query, size: int) -> Positions:
        """Return ``size`` distinct free positions among the candidates, best first."""
        ...


def best(utilities: Tensor, query: Query, size: int) -> Positions:
    """Return the ``size`` free positions of highest utility (P,); ties go to the first."""
    masked = utilities.masked_fill(query.taken, -torch.inf)
    order = torch.sort(masked, descending=True, stable=True).indices
    return order[:size].numpy(force=True).astype(np.int64)
