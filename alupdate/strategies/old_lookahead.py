"""Look-ahead selection: update on every candidate batch, and keep the best."""

import torch
from torch import Tensor

from alupdate.config import LookaheadStrategy
from alupdate.laplace.losses import true_loss
from alupdate.laplace.updates import Rule
from alupdate.strategies.candidate_batches import candidate_batches
from alupdate.strategies.foresight import Foresight
from alupdate.strategies.query import Oracle, Positions, Query


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
        settings = self._settings
        batches = candidate_batches(query, size, settings.n_batches, settings.mix)
        best: Positions = batches[int(self.losses(query, batches).argmin())]
        return best

    def losses(self, query: Query, batches: Positions) -> Tensor:
        """Return the loss (M,) on the evaluation set after the update on each of batches (M, b)."""
        oracle = require_oracle(query)
        members, places = torch.unique(
            torch.from_numpy(batches).to(query.features.device), return_inverse=True
        )
        foresight = Foresight.of(query, self._rule, members, oracle.features)
        return foresight.losses(
            query,
            places,
            oracle.candidate_labels[members[places]],
            true_loss(oracle.labels, self._settings.loss),
        )


def require_oracle(query: Query) -> Oracle:
    """Return the query's oracle.

    Raises:
        ValueError: it has none.
    """
    if query.oracle is None:
        raise ValueError("look-ahead selection needs an oracle")
    return query.oracle
