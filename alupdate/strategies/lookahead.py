"""Look-ahead selection: update on every candidate batch, and keep the best."""

import torch

from alupdate.config import LookaheadStrategy
from alupdate.laplace.dual import update_batches
from alupdate.laplace.losses import losses_after_updates
from alupdate.strategies.candidate_batches import candidate_batches
from alupdate.strategies.query import Positions, Query


class Lookahead:
    """The paper's feasible upper baseline for batch selection.

    It is an ORACLE: it updates on each candidate batch with its true labels and measures the loss
    on an evaluation set with true labels, none of which a practitioner has. All candidate batches
    are evaluated in the dual form, without a copy of the model for any of them.
    """

    needs_oracle = True

    def __init__(self, settings: LookaheadStrategy) -> None:
        self._settings = settings

    def select(self, query: Query, size: int) -> Positions:
        """See ``Strategy``."""
        settings = self._settings
        batches = candidate_batches(query, size, settings.n_batches, settings.mix)
        best: Positions = batches[int(self._losses(query, batches).argmin())]
        return best

    def _losses(self, query: Query, batches: Positions) -> torch.Tensor:
        """Return the mean loss (M,) after the update on each of M batches (M, b)."""
        oracle, posterior = query.oracle, query.posterior
        if oracle is None:
            raise ValueError("look-ahead selection needs an oracle")
        chosen = torch.from_numpy(batches).to(query.features.device)
        projected = query.features @ posterior.covariance
        updates = update_batches(
            projected[chosen] @ query.features[chosen].mT,
            query.logits[chosen],
            oracle.candidate_labels[chosen],
            query.gamma,
            posterior.likelihood,
        )
        return losses_after_updates(
            projected @ oracle.features.T,
            posterior.logits(oracle.features),
            oracle.labels,
            chosen,
            updates.coefficients,
            query.gamma,
            self._settings.loss,
        )
