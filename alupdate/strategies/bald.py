"""BALD: instances whose label would say most about the weights."""

import numpy as np
import torch
from torch import Tensor

from alupdate.config import BaldStrategy
from alupdate.strategies.entropy import minus_plogp
from alupdate.strategies.query import Positions, Query, best

CHUNK_NUMBERS = 2**18
"""How many sampled probabilities are worked on together: few enough for the processor's cache."""


class Bald:
    """The largest mutual information of label and weights (Houlsby et al. 2011).

    H(mean_s p_s) - mean_s H(p_s) over samples p_s of the posterior. One instance's logits are all
    it needs of the weights, and they are independent Gaussians with mean f_c and variance v_c; so
    they are sampled directly, S C numbers that all candidates share. That costs O(P S C) with
    nothing of size D, and the variances are refreshed by rank-one terms within a sequential batch.
    """

    needs_oracle = False

    def __init__(self, settings: BaldStrategy) -> None:
        self._settings = settings

    def select(self, query: Query, size: int) -> Positions:
        """See ``Strategy``."""
        classes = query.logits.shape[1]
        drawn = query.rng.standard_normal((self._settings.n_samples, classes), dtype=np.float32)
        noise = torch.from_numpy(drawn).to(query.logits)
        return best(mutual_information(query.logits, query.variances, noise), query, size)


def mutual_information(logits: Tensor, variances: Tensor, noise: Tensor) -> Tensor:
    """Return the mutual information (P,) of each label and the weights, in nats.

    The instances come last (S, C, P): operations then run along them, several times faster than
    along a few classes.

    Args:
        logits: (P, C), means.
        variances: (P, K), K = 1 or C.
        noise: (S, C), standard normal numbers.
    """
    deviations = variances.clamp(min=0).sqrt().T.contiguous()
    size = max(1, CHUNK_NUMBERS // noise.numel())
    parts = []
    for means, spread in zip(
        torch.split(logits.T.contiguous(), size, dim=1),
        torch.split(deviations, size, dim=1),
        strict=True,
    ):
        log_p = torch.log_softmax(means + noise[:, :, None] * spread, dim=1)
        p = log_p.exp()
        single = -log_p.mul_(p).sum(dim=1).mean(dim=0)
        parts.append(minus_plogp(p.mean(dim=0)).sum(dim=0) - single)
    return torch.cat(parts)
