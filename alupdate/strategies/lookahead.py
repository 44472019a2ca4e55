"""What the loss on a set of points would be after updates that have not been made."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from alupdate.laplace.label_losses import LARGEST_STEP, losses_for_labels
from alupdate.laplace.losses import (
    Loss,
    LossSum,
    expected_loss,
    losses_after_changes,
    losses_after_updates,
)
from alupdate.laplace.posterior import Updated
from alupdate.laplace.updates import Rule, mean_changes
from alupdate.strategies.query import Query

CHUNK_NUMBERS = 2**24
"""How many numbers the Gram matrices of the batches that are updated together may have."""


@dataclass(frozen=True)
class Foresight:
    """Hypothetical updates of the model on batches of some candidates, evaluated on T points.

    Attributes:
        rule: the update.
        members: (R,), positions of the candidates that the batches are made of.
        features: (R, D), of them.
        directions: (K, R, D), along which each of them moves the weights.
        points: (T, D), features of the evaluation points.
        logits: (T, C), of them before any update.
        kernel: (R, T), where it is kept (``keeping_kernel``).
    """

    rule: Rule
    members: Tensor
    features: Tensor
    directions: Tensor
    points: Tensor
    logits: Tensor
    kernel: Tensor | None = None

    @classmethod
    def of(cls, query: Query, rule: Rule, members: Tensor, points: Tensor) -> "Foresight":
        """Return the view on updates of the query's model with candidates (R,), on points (T, D).

        Cost: O(R K D^2).
        """
        features = query.features[members]
        directions = rule.directions(query.posterior, features)
        logits = query.posterior.logits(points)
        return cls(rule, members, features, directions, points, logits)

    def keeping_kernel(self) -> "Foresight":
        """Return the view with the kernel kept, if all classes share the directions.

        ``losses`` computes it anew, tile by tile, in O(R D T) and no memory; one that is kept pays
        where ``after`` can change it by rank one in O(R T).
        """
        if len(self.directions) > 1:
            return self
        return replace(self, kernel=self._kernel(slice(None)))

    def _kernel(self, part: slice) -> Tensor:
        """Return the kernel (R, t) of the members and some of the points."""
        if self.kernel is not None:
            return self.kernel[:, part]
        return self.directions[0] @ self.points[part].T

    def losses(self, query: Query, batches: Tensor, labels: Tensor, loss_sum: LossSum) -> Tensor:
        """Return the mean loss (M,) after the update on each of M batches.

        Args:
            query: the state of the model.
            batches: (M, b), places in ``members``.
            labels: (M, b), with which to update.
            loss_sum: on the points.
        """
        chunk = max(1, CHUNK_NUMBERS // (len(self.directions) * batches.shape[1] ** 2))
        pieces = zip(torch.split(batches, chunk), torch.split(labels, chunk), strict=True)
        return torch.cat([self._losses(query, *piece, loss_sum) for piece in pieces])

    def _losses(self, query: Query, batches: Tensor, labels: Tensor, loss_sum: LossSum) -> Tensor:
        gram = self.directions[:, batches] @ self.features[batches].mT
        coefficients = self.rule.coefficients(
            query.posterior,
            gram.transpose(0, 1),
            query.logits[self.members[batches]],
            labels,
            query.gamma,
        )
        if len(self.directions) == 1:
            return losses_after_updates(
                self._kernel, len(self.members), self.logits, batches, coefficients, loss_sum
            )
        changes = mean_changes(self.directions[:, batches], coefficients)
        return losses_after_changes(changes, self.points, self.logits, loss_sum)

    def expected_losses(self, query: Query, labels: Tensor, loss: Loss) -> Tensor:
        """Return the loss (R, L) to expect on the points after each of L labels of every member.

        Args:
            query: the state of the model.
            labels: (R, L), with which to update.
            loss: that the updated model itself expects, see ``losses.expected_loss``.
        """
        logits = query.logits[self.members]
        if len(self.directions) == 1 and self.rule.step is not None:
            lengths = (self.directions[0] * self.features).sum(dim=1)
            step = self.rule.step(query.posterior, lengths, logits, query.gamma)
            steps = self._kernel(slice(None)).mul_(step[:, None])
            if steps.abs().max() <= LARGEST_STEP:
                predictions = torch.softmax(logits, dim=1)
                return losses_for_labels(steps, self.logits, predictions, labels, loss)
        places = torch.arange(len(self.members), device=labels.device)[:, None]
        loss_sum = expected_loss(loss)
        each = [self.losses(query, places, column[:, None], loss_sum) for column in labels.T]
        return torch.stack(each, dim=1)

    def after(self, query: Query, place: int, update: Updated) -> "Foresight":
        """Return the view after the model was really updated with the member at ``place``.

        With one covariance, Sigma' = Sigma - s d d^T where d = Sigma phi_i, s = w / (1 + w v) and
        v = phi_i^T d. Directions and kernel then change by rank one, in O(R (D + T)):

            Sigma' phi = Sigma phi - s (phi^T d) d
            k'(phi, t) = k(phi, t) - s (phi^T d) k(phi_i, t)

        Args:
            query: the state after the update.
            place: in ``members``.
            update: its outcome.
        """
        if len(self.directions) > 1:
            return Foresight.of(query, self.rule, self.members, self.points)
        directions, kernel = self.directions, self.kernel
        if self.rule.projects:
            direction, weight = directions[0, place], update.added_precision[0, 0]
            overlap = self.features @ direction
            overlap *= weight / (1 + weight * overlap[place])
            directions = torch.addr(directions[0], overlap, direction, alpha=-1)[None]
            if kernel is not None:
                kernel = torch.addr(kernel, overlap, kernel[place], alpha=-1)
        logits = update.move(self.logits, self.points)
        return replace(self, directions=directions, logits=logits, kernel=kernel)
