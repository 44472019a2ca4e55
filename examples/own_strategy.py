"""A strategy of your own: one method, and everything else comes with it.

The strategy prefers instances that are uncertain and typical at once: the margin's uncertainty
times the mean similarity to the other candidates. From Python:

    python examples/own_strategy.py

As a plug-in of the command, from the folder of this file:

    python -m alupdate.run strategy=plugin strategy.module=own_strategy batch=sequential
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

import alupdate


class Representative(alupdate.ScoringStrategy):
    """Uncertain and typical: margin uncertainty times mean cosine similarity to all candidates.

    Information density (Settles and Craven 2008). O(P D): the mean similarity is an inner product
    with the mean direction.
    """

    def __init__(self, power: float = 1.0) -> None:
        self._power = power

    def utilities(self, query: alupdate.Query) -> Tensor:
        """Return the information density (P,) of the candidates."""
        top = torch.softmax(query.logits, dim=1).topk(2, dim=1).values
        uncertainty = 1 - (top[:, 0] - top[:, 1])
        directions = torch.nn.functional.normalize(query.features, dim=1)
        density = (directions @ directions.mean(dim=0)).clamp(min=0)
        return uncertainty * density**self._power


def make_strategy(settings: Mapping[str, Any]) -> alupdate.ScoringStrategy:
    """Return the strategy: what ``strategy=plugin`` calls, with ``strategy.settings``."""
    return Representative(**settings)


def main() -> None:
    """Choose a batch from Python, without a run."""
    rng = torch.Generator().manual_seed(0)
    features = torch.randn(200, 8, generator=rng)
    labels = (features[:, 0] > 0).long() + (features[:, 1] > 0).long()
    labelled = list(range(20))
    weights = 0.1 * torch.randn(3, 8, generator=rng)
    posterior = alupdate.fit(weights, features[labelled])
    batch = alupdate.select(
        Representative(),
        5,
        features=features,
        posterior=posterior,
        labelled=labelled,
        labels=labels[labelled],
    )
    print("label these next:", *batch)


if __name__ == "__main__":
    main()
