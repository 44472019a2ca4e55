"""Look-ahead: the loss on a set of points after hypothetical updates of the model."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import torch
from pydantic.dataclasses import dataclass as option
from torch import Tensor
from typing_extensions import override

from alupdate.config.values import SETTINGS, Count, UpdateName
from alupdate.laplace.losses import (
    LARGEST_STEP,
    LossSum,
    expected_loss,
    losses_after_changes,
    losses_after_updates,
    losses_for_labels,
    true_loss,
)
from alupdate.laplace.names import NLL, SECOND_ORDER, Loss
from alupdate.laplace.posterior import reduction
from alupdate.laplace.rules import LowRankUpdate, UpdateResult, UpdateRule, mean_changes
from alupdate.laplace.tiles import Assumptions, at_once
from alupdate.strategies.base import (
    EvaluationSet,
    Oracle,
    Positions,
    Query,
    StrategyOption,
    best_places,
    sample_of_candidates,
    scattered,
    without,
)
from alupdate.strategies.sampled_batches import BatchMix, sample_batches
from alupdate.strategies.unasked import UnaskedGreedy
from alupdate.strategies.uncertainty import margin_uncertainty
from alupdate.utils.errors import InputError

_CHUNK_NUMBERS = 2**24
"""How many numbers the Gram matrices of the batches that are updated together may have."""

_GATHERED_NUMBERS = 2**26
"""How many numbers the features and directions of these batches may have."""


@dataclass(frozen=True)
class HypotheticalUpdates:
    """Hypothetical updates of the model on batches of some candidates, evaluated on T points.

    All of them are evaluated in the dual form, without a copy of the model for any.

    Attributes:
        rule: the update.
        members: (R,), positions of the candidates that the batches are made of.
        features: (R, D), of them.
        directions: (K, R, D), along which each of them moves the weights.
        points: (T, D), features of the evaluation points.
        logits: (T, C), of them before any update.
        kernel: (R, T), where it is kept (``keeping_kernel``).
    """

    rule: UpdateRule
    members: Tensor
    features: Tensor
    directions: Tensor
    points: Tensor
    logits: Tensor
    kernel: Tensor | None = None

    @classmethod
    def of(cls, query: Query, members: Tensor, points: Tensor) -> "HypotheticalUpdates":
        """Return the view on updates of the query's model with candidates (R,), on points (T, D).

        Cost: O(R K D^2).

        Raises:
            ValueError: the query has no update rule.
        """
        if query.rule is None:
            raise ValueError("look-ahead selection needs an update rule: Query.of(..., rule=...)")
        rule, features = query.rule, query.features[members]
        directions = rule.directions(query.posterior, features)
        logits = query.posterior.logits(points)
        return cls(rule, members, features, directions, points, logits)

    def keeping_kernel(self) -> "HypotheticalUpdates":
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

    def losses(
        self,
        query: Query,
        batches: Tensor,
        labels: Tensor,
        loss_sum: LossSum,
        assumed: Assumptions | None = None,
    ) -> Tensor:
        """Return the mean loss (M,) after the update on each of M batches.

        Args:
            query: the state of the model.
            batches: (M, b), places in ``members``.
            labels: (M, b), with which to update.
            loss_sum: on the points.
            assumed: is told that the losses are finite as they come; None to ask.
        """
        chunk = self._together(batches.shape[1])
        pieces = zip(torch.split(batches, chunk), torch.split(labels, chunk), strict=True)
        return torch.cat([self._losses(query, *piece, loss_sum, assumed) for piece in pieces])

    def _together(self, size: int) -> int:
        """Return how many batches of a size are updated together."""
        numbers = at_once(self.features, _CHUNK_NUMBERS) // size**2
        gathered = at_once(self.features, _GATHERED_NUMBERS) // (size * self.features.shape[1])
        return max(1, min(numbers, gathered) // len(self.directions))

    def _losses(
        self,
        query: Query,
        batches: Tensor,
        labels: Tensor,
        loss_sum: LossSum,
        assumed: Assumptions | None,
    ) -> Tensor:
        gram = self.directions[:, batches] @ self.features[batches].mT
        coefficients = self.rule.coefficients(
            query.posterior,
            gram.transpose(0, 1),
            query.logits_at(self.members[batches]),
            labels,
            query.gamma,
        )
        if len(self.directions) == 1:
            return losses_after_updates(
                self._kernel,
                len(self.members),
                self.logits,
                batches,
                coefficients,
                loss_sum,
                assumed,
            )
        changes = mean_changes(self.directions[:, batches], coefficients)
        return losses_after_changes(changes, self.points, self.logits, loss_sum, assumed)

    def expected_losses(
        self, query: Query, labels: Tensor, loss: Loss, assumed: Assumptions | None = None
    ) -> Tensor:
        """Return the loss (R, L) to expect on the points after each of L labels of every member.

        Args:
            query: the state of the model.
            labels: (R, L), with which to update.
            loss: that the updated model itself expects, see ``losses.expected_loss``.
            assumed: is told that the losses are those of the usual way; None to ask.
        """
        logits = query.logits_at(self.members)
        if len(self.directions) == 1:
            lengths = (self.directions[0] * self.features).sum(dim=1)
            step = self.rule.step(query.posterior, lengths, logits, query.gamma)
            if step is not None:
                steps = self._kernel(slice(None)).mul_(step[:, None])
                in_range = steps.abs().max() <= LARGEST_STEP
                if assumed is not None:
                    assumed.add(in_range)
                if assumed is not None or in_range:
                    predictions = torch.softmax(logits, dim=1)
                    return losses_for_labels(steps, self.logits, predictions, labels, loss)
        places = torch.arange(len(self.members), device=labels.device)[:, None]
        loss_sum = expected_loss(loss)
        each = [
            self.losses(query, places, column[:, None], loss_sum, assumed) for column in labels.T
        ]
        return torch.stack(each, dim=1)

    def after(self, query: Query, place: Tensor, update: UpdateResult) -> "HypotheticalUpdates":
        """Return the view after the model was really updated with the member at ``place`` (1,).

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
            return HypotheticalUpdates.of(query, self.members, self.points)
        directions, kernel = self.directions, self.kernel
        if self.rule.projects:
            direction, weight = directions[0, place][0], update.added_precision[0, 0]
            overlap = self.features @ direction
            overlap *= weight / (1 + weight * overlap[place])
            directions = torch.addr(directions[0], overlap, direction, alpha=-1)[None]
            if kernel is not None:
                kernel = torch.addr(kernel, overlap, kernel[place][0], alpha=-1)
        logits = update.new_logits(self.logits, self.points)
        return replace(self, directions=directions, logits=logits, kernel=kernel)

    def after_batch(
        self, query: Query, places: Tensor, update: UpdateResult
    ) -> "HypotheticalUpdates":
        """Return the view after an update with the members at places (b,): as ``after``, of rank b.

        With H of ``posterior.reduction``, Sigma' = Sigma - H^T H: O((R + T) b D + R b T).
        """
        if len(self.directions) > 1:
            return HypotheticalUpdates.of(query, self.members, self.points)
        directions, kernel = self.directions, self.kernel
        if self.rule.projects:
            taken = self.directions[0, places], self.features[places]
            rows = reduction(*taken, update.added_precision[:, 0])
            shares = self.features @ rows.T
            directions = torch.addmm(directions[0], shares, rows, alpha=-1)[None]
            if kernel is not None:
                kernel = torch.addmm(kernel, shares, rows @ self.points.T, alpha=-1)
        logits = update.new_logits(self.logits, self.points)
        return replace(self, directions=directions, logits=logits, kernel=kernel)


@option(frozen=True, config=SETTINGS, kw_only=True)
class LookaheadOption(StrategyOption):
    """A strategy that makes hypothetical updates.

    Attributes:
        loss: by which updated models are compared.
        update: the update rule.
    """

    loss: Loss = NLL
    update: UpdateName = SECOND_ORDER

    @property
    @override
    def hypothetical_update(self) -> UpdateName | None:
        return self.update


@option(frozen=True, config=SETTINGS, kw_only=True)
class OracleOption(LookaheadOption):
    """Look-ahead with true labels, of the candidates and of an evaluation set: an upper baseline.

    Attributes:
        evaluate_on: the test set, a part of the pool that is set aside, or the candidates.
        holdout: the size of that part.
    """

    needs_oracle: ClassVar[bool] = True
    evaluate_on: EvaluationSet = "test"
    holdout: Count = 500

    @property
    @override
    def evaluation_set(self) -> EvaluationSet:
        return self.evaluate_on

    @property
    @override
    def n_holdout(self) -> int:
        return self.holdout if self.evaluate_on == "holdout" else 0

    def losses(self, query: Query, batches: Positions) -> Tensor:
        """Return the loss (M,) on the evaluation set after the update on each of batches (M, b)."""
        oracle = require_oracle(query)
        members, places = torch.unique(
            torch.from_numpy(batches).to(query.features.device), return_inverse=True
        )
        return HypotheticalUpdates.of(query, members, oracle.features).losses(
            query,
            places,
            oracle.candidate_labels[members[places]],
            true_loss(oracle.labels, self.loss),
        )


@option(frozen=True, config=SETTINGS, kw_only=True)
class Lookahead(OracleOption):
    """Look-ahead batch selection with true labels: the best of sampled batches [Huseljic2025].

    An ORACLE: the model is updated on each of ``n_batches`` candidate batches with its true labels,
    and the loss is measured on an evaluation set with true labels, none of which a practitioner
    has. O(R K D^2 + R T D) for the R candidates in the batches, and O(T C b) per batch.

    Attributes:
        n_batches: how many candidate batches are sampled.
        mix: of which kinds.
    """

    name: Literal["lookahead"] = "lookahead"
    n_batches: Count = 300
    mix: BatchMix = BatchMix()

    @override
    def check(self) -> None:
        if self.mix.random + self.mix.diverse + self.mix.informative == 0:
            raise InputError("strategy.mix: at least one of the three shares must be above 0")

    @override
    def select(self, query: Query, size: int) -> Positions:
        batches = sample_batches(query, size, self.n_batches, self.mix)
        chosen: Positions = batches[int(self.losses(query, batches).argmin())]
        return chosen


def require_oracle(query: Query) -> Oracle:
    """Return the query's oracle.

    Raises:
        ValueError: it has none.
    """
    if query.oracle is None:
        raise ValueError("look-ahead selection needs an oracle")
    return query.oracle


@option(frozen=True, config=SETTINGS, kw_only=True)
class GreedyLookahead(OracleOption, UnaskedGreedy):
    """Greedy look-ahead with true labels: every candidate is tried at every step.

    An ORACLE like ``Lookahead``, and the stronger upper baseline. At each step the model is updated
    on each free candidate with its true label, the loss on the evaluation set is measured, and the
    best candidate joins the batch. P candidates cost one rank-one change of (T, C) logits each,
    O(P T C) per step; the kernel between candidates and evaluation points is kept up to date by a
    rank-one change, too, or computed anew at every step where it would not fit.

    Attributes:
        memory: MB that the kernel may take.
    """

    name: Literal["greedy_lookahead"] = "greedy_lookahead"
    signed: ClassVar[bool | None] = True
    memory: Count = 512

    def utilities(self, query: Query) -> Tensor:
        """Return minus the loss (P,) on the evaluation set after each candidate's true label.

        NaN for candidates that are already in the batch.
        """
        free, labels, updates, loss_sum = self._start(query)
        places = torch.arange(len(free), device=free.device)[:, None]
        losses = updates.losses(query, places, labels[places], loss_sum)
        return scattered(query, free, -losses)

    @override
    def picks(self, query: Query, assumed: Assumptions | None = None) -> Iterator[Tensor]:
        free, labels, updates, loss_sum = self._start(query)
        places = torch.arange(len(free), device=free.device)[:, None]
        for _ in range(len(free)):
            losses = updates.losses(query, places, labels[places], loss_sum, assumed)
            least = losses.argmin(dim=0, keepdim=True)
            place = places[least, 0]
            yield free[place][0]
            places = without(places, least)
            rows = updates.features[place]
            update = updates.rule.apply(query.posterior, rows, labels[place], query.gamma)
            query = query.after(free[place], labels[place], update)
            updates = updates.after(query, place, update)

    def _start(self, query: Query) -> tuple[Tensor, Tensor, HypotheticalUpdates, LossSum]:
        """Return the free positions (F,), their true labels (F,), the updates, and the loss."""
        oracle = require_oracle(query)
        free = torch.from_numpy(query.free()).to(query.features.device)
        updates = HypotheticalUpdates.of(query, free, oracle.features)
        numbers = self.memory * 2**20 // query.features.element_size()
        if len(free) * len(oracle.features) <= numbers:
            updates = updates.keeping_kernel()
        return free, oracle.candidate_labels[free], updates, true_loss(oracle.labels, self.loss)


@option(frozen=True, config=SETTINGS, kw_only=True)
class ExpectedLookahead(LookaheadOption, UnaskedGreedy):
    """Expected error reduction by hypothetical updates, without an oracle [Roy2001].

    With an update in place of retraining, a candidate is worth the loss that is to be expected on a
    sample of the pool once its label is known: averaged over its labels under the current
    prediction, each with the loss that the updated model itself expects (``losses.expected_loss``).
    It sees no label but those of labelled instances. O(R D^2 + R L T C) per pick, for R candidates,
    L labels of each, and T points.

    The batch is built one instance at a time. Labels are not known on the way, so the model between
    two picks is the one to expect: under its own prediction the residual e_y - p has mean zero, so
    the mean weights stay; the covariance takes the pick in, as it does whatever the label, so that
    its neighbours are worth less. With ``batch=sequential`` real labels take that place.

    Attributes:
        n_candidates: R, those of smallest margin.
        n_points: T, drawn from the candidates.
        n_labels: L, the most probable ones.
    """

    name: Literal["expected_lookahead"] = "expected_lookahead"
    signed: ClassVar[bool | None] = True
    n_candidates: Count = 200
    n_points: Count = 1000
    n_labels: Count = 10

    def utilities(self, query: Query) -> Tensor:
        """Return minus the expected loss (P,); NaN for all but those of smallest margin."""
        points = sample_of_candidates(query, self.n_points)
        unsure = query.map_logits(margin_uncertainty)
        members, losses = self._expected_losses(query, unsure, points)
        return scattered(query, members, -losses)

    @override
    def picks(self, query: Query, assumed: Assumptions | None = None) -> Iterator[Tensor]:
        points = sample_of_candidates(query, self.n_points)
        unsure = query.map_logits(margin_uncertainty)  # stays, as the mean weights do
        for _ in range(len(query.features) - len(query.picked)):
            members, losses = self._expected_losses(query, unsure, points, assumed)
            pick = members[losses.argmin(dim=0, keepdim=True)]
            yield pick[0]
            query = _after_unknown_label(query, pick, assumed)

    def _expected_losses(
        self, query: Query, unsure: Tensor, points: Tensor, assumed: Assumptions | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return the free candidates (R,) of smallest margin, and the loss (R,) to expect.

        Args:
            query: the state of the model.
            unsure: (P,), the margin uncertainty of the candidates.
            points: (T, D).
            assumed: is told that the losses are those of the usual way; None to ask.
        """
        count = min(self.n_candidates, len(query.features) - len(query.picked))
        members = best_places(unsure, query, count)
        updates = HypotheticalUpdates.of(query, members, points)
        probabilities = torch.softmax(query.logits_at(members), dim=1)
        likely = probabilities.topk(min(self.n_labels, probabilities.shape[1]), dim=1)
        losses = updates.expected_losses(query, likely.indices, self.loss, assumed)
        return members, (losses * likely.values).sum(dim=1) / likely.values.sum(dim=1)


def _after_unknown_label(query: Query, pick: Tensor, assumed: Assumptions | None) -> Query:
    """Return the state to expect once the label of ``pick`` (1,) is known, whatever it is."""
    posterior, rows, logits = query.posterior, query.features[pick], query.logits_at(pick)
    weights = posterior.curvatures(logits)
    update = LowRankUpdate(
        posterior.conditioned(posterior.mean, rows, weights, assumed),
        rows,
        torch.zeros_like(logits),
        weights,
    )
    return query.after(pick, logits.argmax(dim=1), update)
