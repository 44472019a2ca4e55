"""How batches are built: at once, sequentially with labels between the picks, or at random."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from scipy.stats import rankdata
from torch import Tensor
from typing_extensions import override

from alupdate.config.options import options
from alupdate.config.schema import BatchConfig, PowerBatch, SequentialBatch
from alupdate.config.values import NO_LABEL
from alupdate.laplace.rules import UpdateRule
from alupdate.strategies.base import Positions, Query, Strategy, after_labels
from alupdate.utils.errors import InputError

Annotate = Callable[[Positions], Tensor]
"""Returns the labels (b,) of candidates (b,); every call acquires them."""
NEGATIVE_SHARE = 1e-4
"""How far below zero a score may be by rounding, relative to the one farthest from zero."""


def build_batch(
    strategy: Strategy, query: Query, batch: BatchConfig, rule: UpdateRule, annotate: Annotate
) -> Positions:
    """Return ``batch.size`` distinct positions among the candidates, in the order of selection.

    Args:
        strategy: chooses.
        query: the state before the batch.
        batch: size and construction.
        rule: the update between the picks of a sequential batch.
        annotate: gives the labels of what was picked, where the construction acquires them;
            NO_LABEL where nobody can, which takes a place in the batch and teaches nothing.
    """
    chooser, every = chooser_of(strategy, batch, rule), batch.asks_after or batch.size
    chosen: list[Positions] = []
    places: Positions = np.arange(len(query.features))
    while (missing := batch.size - sum(map(len, chosen))) > 0:
        picked = chooser.select(query, min(every, missing))
        chosen.append(places[picked])
        if missing > len(picked):
            labels = annotate(places[picked])
            known = labels.numpy(force=True) != NO_LABEL
            if known.all():
                query = after_labels(query, picked, labels, rule)
                continue
            if known.any():
                query = after_labels(query, picked[known], labels[labels != NO_LABEL], rule)
            query, places = _without(query, places, picked[~known])
    return np.concatenate(chosen)


def _without(query: Query, places: Positions, unlabelable: Positions) -> tuple[Query, Positions]:
    """Return the query without candidates that nobody can label, and where the others came from.

    Args:
        query: about P candidates.
        places: (P,), where they are among those of the first query.
        unlabelable: their positions in ``query``.
    """
    left = np.setdiff1d(query.free(), unlabelable)
    order = np.concatenate([left, query.picked.numpy(force=True)])
    rows = query.features[torch.from_numpy(unlabelable).to(query.picked)]
    known = rows if query.unlabelable is None else torch.cat([query.unlabelable, rows])
    return replace(query.subset(left), unlabelable=known), places[order]


def chooser_of(strategy: Strategy, batch: BatchConfig, rule: UpdateRule) -> Strategy:
    """Return what chooses all that is to be chosen before labels are acquired.

    Args:
        strategy: as configured.
        batch: how its batches are built.
        rule: the update between the picks of a sequential batch.
    """
    if isinstance(batch, PowerBatch):
        return StochasticBatches(strategy, batch.beta, batch.variant)
    if isinstance(batch, SequentialBatch) and batch.labels != "acquired":
        return ImputedBatches(strategy, rule, batch.labels, batch.every, batch.n_samples)
    return strategy


@dataclass(frozen=True)
class _Around(Strategy):
    """A way to build batches with a strategy, which is an oracle where that is one."""

    strategy: Strategy

    @property
    @override
    def needs_oracle(self) -> bool:
        return self.strategy.needs_oracle


@dataclass(frozen=True)
class ImputedBatches(_Around):
    """Sequential construction with the model's own labels: nobody is asked on the way.

    After every few picks the model is updated with labels that are ``predicted``, the most probable
    ones under the mean weights, or ``sampled`` from the predictive distribution softmax(W phi) at
    these weights. With ``n_samples`` > 1, so many models are updated side by side, each with labels
    drawn from its own predictions, and the next picks are those of the highest mean utility over
    the models: partial batch label sampling [Hu2025]. Where a strategy does not score a candidate
    in some of the models, those come first that it scores in more of them.

    Random numbers are drawn from ``query.rng`` in this order: what the strategy draws for the first
    picks, once; then, in turn, one uniform number for each model and pick, model by model
    (``sampled``), and what the strategy draws for each of the models.

    Cost: that of sequential construction, times ``n_samples`` after the first picks.

    Attributes:
        strategy: gives ``utilities`` where ``n_samples`` is above 1.
        rule: the update.
        labels: ``sampled`` or ``predicted``.
        every: picks between updates.
        n_samples: how many models; 1 where labels are predicted.
    """

    rule: UpdateRule
    labels: Literal["sampled", "predicted"]
    every: int = 1
    n_samples: int = 1

    @override
    def select(self, query: Query, size: int) -> Positions:
        states, chosen = [query], list[Positions]()
        while (missing := size - sum(map(len, chosen))) > 0:
            picked = self._picked(states, min(self.every, missing))
            chosen.append(picked)
            if missing > len(picked):
                states = self._after(states, picked)
        return np.concatenate(chosen)

    def _picked(self, states: list[Query], size: int) -> Positions:
        """Return the next picks, given the states of the models, which are all alike at first."""
        if self.n_samples == 1:
            return self.strategy.select(states[0], size)
        utilities = torch.stack([scores_of(self.strategy, state) for state in states])
        scored = (~utilities.isnan()).sum(dim=0)
        return _ranked(utilities.nanmean(dim=0), scored, states[0], size)

    def _after(self, states: list[Query], picked: Positions) -> list[Query]:
        """Return the states after updates with labels of the picks, drawn or predicted in each."""
        if len(states) < self.n_samples:
            states = states * self.n_samples
        positions = torch.from_numpy(picked).to(states[0].features.device)
        logits = torch.stack([state.logits_at(positions) for state in states])
        if self.labels == "predicted":
            labels = logits.argmax(dim=2)
        else:
            labels = drawn_labels(logits, states[0].rng)
        return [
            after_labels(state, picked, given, self.rule)
            for state, given in zip(states, labels, strict=True)
        ]


def drawn_labels(logits: Tensor, rng: np.random.Generator) -> Tensor:
    """Return class indices (S, b) drawn from softmax of logits (S, b, C), by S b uniform numbers.

    Example:
        >>> logits = torch.tensor([[[0.0, 50.0], [50.0, 0.0]]])
        >>> drawn_labels(logits, np.random.default_rng(0))
        tensor([[1, 0]])
    """
    edges = torch.softmax(logits.double(), dim=2).cumsum(dim=2)
    points = torch.from_numpy(rng.random(edges.shape[:2])).to(edges.device)
    below = edges <= points[:, :, None] * edges[:, :, -1:]
    return below.sum(dim=2).clamp(max=logits.shape[2] - 1)


@dataclass(frozen=True)
class StochasticBatches(_Around):
    """Stochastic batch acquisition: instances are drawn by their scores, without replacement.

    The batch holds the largest of ``a_i + g_i / beta`` with standard Gumbel noise g_i, which draws
    one after the other in proportion to exp(beta a_i) [Kirsch2023]. With a score s_i and its rank
    r_i (1 for the highest, the mean of their ranks for equal ones), ``a`` is log s_i for ``power``,
    s_i for ``softmax``, and -log r_i for ``softrank``.

    Power needs scores that are not negative but for rounding. Candidates of score 0 come after all
    others, and those that the strategy does not score (NaN) come last, both at random.

    From ``query.rng`` come what the strategy draws for its utilities, then one Gumbel number for
    each candidate. Cost: that of the utilities, and O(P log P).

    Attributes:
        strategy: gives ``utilities``.
        beta: coldness.
        variant: ``power``, ``softmax`` or ``softrank``.
    """

    beta: float = 1.0
    variant: Literal["power", "softmax", "softrank"] = "power"

    @override
    def select(self, query: Query, size: int) -> Positions:
        scores = scores_of(self.strategy, query).double()
        scores = scores.index_fill(0, query.picked, torch.nan)
        noise = torch.from_numpy(query.rng.gumbel(size=len(scores))).to(scores.device)
        if self.variant == "power" and getattr(self.strategy, "signed", None) is None:
            _refuse_negative(scores)
        scored = ~scores.isnan()
        drawn = scored & (scores > 0) if self.variant == "power" else scored
        values = torch.where(drawn, self.beta * self._attraction(scores), 0) + noise
        return _ranked(values, scored.long() + drawn.long(), query, size)

    def _attraction(self, scores: Tensor) -> Tensor:
        """Return a (P,) for scores (P,); NaN where there is no score."""
        if self.variant == "power":
            return scores.log()
        if self.variant == "softmax":
            return scores
        ranks = rankdata(-scores.numpy(force=True), method="average", nan_policy="omit")
        return -torch.from_numpy(ranks).to(scores).log()


def _refuse_negative(scores: Tensor) -> None:
    """Refuse scores (P,) below zero, for which powers are not defined.

    Raises:
        InputError: there are any.
    """
    known = scores[~scores.isnan()]
    if len(known) and known.min() < -NEGATIVE_SHARE * known.abs().max():
        raise InputError(f"batch.variant=power: a score is {float(known.min()):.3g}; {POWERS}")


POWERS = "powers need scores of 0 or more, use batch.variant=softmax or softrank"


def scores_of(strategy: Any, query: Query) -> Tensor:
    """Return the utilities (P,) of a strategy that has them (``require_utilities``)."""
    scores: Tensor = strategy.utilities(query)
    return scores


def _ranked(values: Tensor, tiers: Tensor, query: Query, size: int) -> Positions:
    """Return the ``size`` free positions of the highest tier and, within one, highest value.

    Args:
        values: (P,), NaN where the tier is that of no score at all; ties go to the first.
        tiers: (P,), 0 or more.
        query: in which some positions may be taken.
        size: how many.
    """
    values = torch.where(values.isnan(), -torch.inf, values)
    tiers = tiers.index_fill(0, query.picked, -1)
    order = torch.sort(values, descending=True, stable=True).indices
    order = order[torch.sort(tiers[order], descending=True, stable=True).indices]
    return order[:size].numpy(force=True).astype(np.int64)


def checked_utilities(answer: Any, query: Query, source: str) -> Tensor:
    """Return the answer if it is one number for each of P candidates, a tensor (P,).

    Args:
        answer: what a strategy's ``utilities`` gave.
        query: what it was asked.
        source: the setting that chose the strategy, for the complaint.

    Raises:
        InputError: it is something else.
    """
    wanted = (len(query.features),)
    if isinstance(answer, Tensor) and answer.shape == wanted:
        return answer
    found = f"shape {tuple(answer.shape)}" if isinstance(answer, Tensor) else type(answer).__name__
    raise InputError(f"{source}: utilities must return a tensor of shape {wanted}, not {found}")


def require_utilities(strategy: Strategy | type[Strategy], batch: BatchConfig, name: str) -> None:
    """Refuse batches that are built from scores where a strategy gives none, or wrong ones.

    Args:
        strategy: or its class; of a plug-in's class nothing is known yet.
        batch: how its batches are built.
        name: of the strategy, for complaints.

    Raises:
        InputError: it is so.
    """
    key = None
    if isinstance(batch, PowerBatch):
        key = "batch=power"
    elif isinstance(batch, SequentialBatch) and batch.n_samples > 1:
        key = f"batch.n_samples={batch.n_samples}"
    if key is None:
        return
    if getattr(strategy, "utilities", None) is None:
        scoring = [n for n, option in sorted(options("strategy").items()) if _scores(option)]
        raise InputError(
            f"{key}: strategy={name} does not score single candidates; use one that does: "
            f"{', '.join(scoring)}"
        )
    powers = isinstance(batch, PowerBatch) and batch.variant == "power"
    if powers and getattr(strategy, "signed", False):
        raise InputError(f"batch.variant=power: strategy={name} has negative scores; {POWERS}")


def _scores(option: type) -> bool:
    return hasattr(option, "utilities")
