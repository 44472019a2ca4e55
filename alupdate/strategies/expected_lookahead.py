"""Expected look-ahead: the loss to expect after each label that the model thinks likely."""

import numpy as np
import torch
from torch import Tensor

from alupdate.config import ExpectedLookaheadStrategy
from alupdate.laplace.posterior import LowRankUpdate
from alupdate.laplace.updates import Rule
from alupdate.strategies.foresight import Foresight
from alupdate.strategies.query import Positions, Query, best
from alupdate.strategies.uncertainty import margin_uncertainty


class ExpectedLookahead:
    """Look-ahead that a practitioner can use: it sees no label that was not bought.

    Expected error reduction (Roy and McCallum 2001) with an update in place of retraining: a
    candidate is worth the loss that is to be expected on a sample of the pool once its label is
    known, averaged over its labels under the current prediction, each with the loss that the
    updated model itself expects (``losses.expected_loss``).

    The batch is built one instance at a time. Labels are not known on the way, so the model between
    two picks is the one to expect: under its own prediction the residual e_y - p has mean zero, so
    the mean weights stay; the covariance takes the pick in, as it does whatever the label, so that
    its neighbours are worth less. With ``batch=sequential`` real labels take that place.
    """

    needs_oracle = False

    def __init__(self, settings: ExpectedLookaheadStrategy, rule: Rule) -> None:
        self._settings, self._rule = settings, rule

    def select(self, query: Query, size: int) -> Positions:
        """See ``Strategy``."""
        settings, count = self._settings, len(query.features)
        sample = query.rng.permutation(count)[: settings.n_points]
        points = query.features[torch.from_numpy(sample).to(query.features.device)]
        picked: list[int] = []
        while True:
            members = self._candidates(query)
            losses = self._expected_losses(query, members, points)
            pick = members[[int(losses.argmin())]]
            picked.append(int(pick))
            if len(picked) == size:
                return np.array(picked, dtype=np.int64)
            query = _after_unknown_label(query, pick)

    def _candidates(self, query: Query) -> Tensor:
        """Return the positions of the free candidates of smallest margin."""
        count = min(self._settings.n_candidates, len(query.features) - len(query.chosen))
        positions = best(margin_uncertainty(query.logits), query, count)
        return torch.from_numpy(positions).to(query.features.device)

    def _expected_losses(self, query: Query, members: Tensor, points: Tensor) -> Tensor:
        """Return the loss (R,) to expect after the label of each member."""
        foresight = Foresight.of(query, self._rule, members, points)
        probabilities = torch.softmax(query.logits[members], dim=1)
        likely = probabilities.topk(min(self._settings.n_labels, probabilities.shape[1]), dim=1)
        losses = foresight.expected_losses(query, likely.indices, self._settings.loss)
        return (losses * likely.values).sum(dim=1) / likely.values.sum(dim=1)


def _after_unknown_label(query: Query, pick: Tensor) -> Query:
    """Return the state to expect after buying the label of ``pick`` (1,), whatever it is."""
    posterior, rows, logits = query.posterior, query.features[pick], query.logits[pick]
    weights = posterior.curvatures(logits)
    update = LowRankUpdate(
        posterior.conditioned(posterior.mean, rows, weights),
        rows,
        torch.zeros_like(logits),
        weights,
    )
    return query.after(pick, logits.argmax(dim=1), update)
