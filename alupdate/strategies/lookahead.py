"""Look-ahead selection: update on every candidate batch, and keep the best."""

import torch
from torch import Tensor

from alupdate.config import LookaheadStrategy
from alupdate.laplace.losses import losses_after_changes, losses_after_updates
from alupdate.laplace.updates import Rule, mean_changes
from alupdate.strategies.candidate_batches import candidate_batches
from alupdate.strategies.query import Oracle, Positions, Query

CHUNK_NUMBERS = 2**24
"""How many numbers the Gram matrices of the batches that are updated together may have."""


class Lookahead:
    """The paper's feasible upper baseline for batch selection.

    It is an ORACLE: it updates on each candidate batch with its true labels and measures the loss
    on an evaluation set with true labels, none of which a practitioner has. All candidate batches
    are evaluated in the dual form, without a copy of the model for any of them.
    """

    needs_oracle = True

    def __init__(self, settings: LookaheadStrategy, rule: Rule) -> None:
        self._settings, self._rule = settings, rule

    def select(self, query: Query, size: int) -> Positions:
        """See ``Strategy``."""
        if query.oracle is None:
            raise ValueError("look-ahead selection needs an oracle")
        settings = self._settings
        batches = candidate_batches(query, size, settings.n_batches, settings.mix)
        losses = self._losses(query, query.oracle, torch.from_numpy(batches))
        best: Positions = batches[int(losses.argmin())]
        return best

    def _losses(self, query: Query, oracle: Oracle, batches: Tensor) -> Tensor:
        """Return the mean loss (M,) after the update on each of M batches (M, b)."""
        directions = self._rule.directions(query.posterior, query.features)
        logits = query.posterior.logits(oracle.features)
        shared = len(directions) == 1
        kernel = directions[0] @ oracle.features.T if shared else None
        chunk = max(1, CHUNK_NUMBERS // (len(directions) * batches.shape[1] ** 2))
        losses = []
        for chosen in torch.split(batches.to(query.features.device), chunk):
            coefficients = self._coefficients(query, oracle, directions, chosen)
            if kernel is not None:
                part = losses_after_updates(
                    kernel, logits, oracle.labels, chosen, coefficients, self._settings.loss
                )
            else:
                changes = mean_changes(directions[:, chosen], coefficients)
                part = losses_after_changes(
                    changes, oracle.features, logits, oracle.labels, self._settings.loss
                )
            losses.append(part)
        return torch.cat(losses)

    def _coefficients(
        self, query: Query, oracle: Oracle, directions: Tensor, chosen: Tensor
    ) -> Tensor:
        """Return the coefficients (m, b, C) of the update on each of m batches (m, b)."""
        gram = directions[:, chosen] @ query.features[chosen].mT
        return self._rule.coefficients(
            query.posterior,
            gram.transpose(0, 1),
            query.logits[chosen],
            oracle.candidate_labels[chosen],
            query.gamma,
        )
