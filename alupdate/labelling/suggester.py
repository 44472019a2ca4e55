"""What to label next: a function of the labels that there are, in their order.

The labels are taken as the cycles of a run: ``n_initial`` first ones, then batches of
``batch.size``, the last of which may be incomplete. With the labels that a simulated run would have
acquired, models, picks and random numbers are those of that run.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from alupdate.config import RunConfig
from alupdate.data.dataset import IntArray
from alupdate.data.pool import Pool
from alupdate.experiment.learning import Batch, Learning
from alupdate.experiment.selection import NONE, OpenBatch, Selector, first_picks
from alupdate.models.learner import Learner, Model
from alupdate.utils.seeds import Stream, generator

BY_INITIAL = "initial"
"""How instances are chosen before there is a model, in place of the strategy's name."""


@dataclass(frozen=True)
class Suggestions:
    """Instances to label next, best first.

    Attributes:
        indices: (b,), their pool indices.
        probabilities: (b, C), of the classes; None before there is a model.
        scores: (b,), their utilities; NaN where the strategy gives none.
        chosen_by: the strategy's name, or how the first labels are chosen.
    """

    indices: IntArray
    probabilities: NDArray[np.floating] | None
    scores: NDArray[np.floating]
    chosen_by: str


class Offering(Protocol):
    """Instances that are to be labelled now; it changes as their labels come in."""

    @property
    def suggestions(self) -> Suggestions:
        """What is to be labelled now; nothing where the batch is complete."""
        ...

    def take(self, index: int, label: int) -> None:
        """Take the label of one of the suggestions."""
        ...


def cycles_of_labels(pool: Pool, n_initial: int, size: int) -> list[Batch]:
    """Return the labels of a pool as batches; the last one may be incomplete.

    Example:
        >>> labels = np.zeros(7, dtype=np.int64)
        >>> pool = Pool.unlabelled(9).label(np.arange(7), labels)
        >>> [indices.tolist() for indices, _ in cycles_of_labels(pool, 2, 3)]
        [[0, 1], [2, 3, 4], [5, 6]]
    """
    count = len(pool.indices)
    edges = [0, *range(n_initial, count, size), count]
    return [
        (pool.indices[start:stop], pool.labels[start:stop])
        for start, stop in pairwise(edges)
        if start < stop
    ]


class Suggester:
    """Learns from the labels of a pool and asks the strategy what to label next."""

    def __init__(
        self, config: RunConfig, selector: Selector, learner: Learner, size: int, n_classes: int
    ) -> None:
        """Make ready.

        Args:
            config: of the run that the labelling continues.
            selector: asks the strategy.
            learner: on the pool's features.
            size: P, how many instances the pool has.
            n_classes: C.
        """
        self._config, self._selector, self._learner = config, selector, learner
        self._learning = Learning(config, learner)
        self._order = generator(config.seed, Stream.INITIAL_LABELS).permutation(size)
        self._size, self._classes = size, n_classes
        self._known: tuple[list[Batch], Model] | None = None
        self._latest: tuple[list[Batch], Model] | None = None
        self._opened: _Begun | None = None

    @property
    def learner(self) -> Learner:
        """The learner on the pool's features."""
        return self._learner

    def start_from(self, batches: Sequence[Batch], model: Model) -> None:
        """Use a model that was learned from these batches earlier."""
        self._known = list(batches), model

    def is_ready(self, pool: Pool) -> bool:
        """Return whether there are labels enough to train a model."""
        return self._classes > 1 and len(pool.indices) >= self._config.n_initial

    def batches(self, pool: Pool) -> list[Batch]:
        """Return the labels as the batches of cycles 0, 1, ..."""
        return cycles_of_labels(pool, self._config.n_initial, self._config.batch.size)

    def model(self, pool: Pool) -> Model:
        """Return the model after all labels of a pool that is ready."""
        return self._model_after(self.batches(pool))

    def suggest(self, pool: Pool, skipped: IntArray) -> Suggestions:
        """Return the next batch, by a model that has learned from every label.

        Where construction waits for labels, these are the next picks of the batch that is begun.

        Args:
            pool: what is labelled.
            skipped: (S,), instances that are not suggested.
        """
        if not self.is_ready(pool):
            n_missing = self._config.n_initial - len(pool.indices)
            size = n_missing if n_missing > 0 else self._config.batch.size
            return self._first(
                first_picks(
                    self._config,
                    self._learner.rows,
                    self._order,
                    _without(pool, skipped),
                    size,
                    n_classes=max(2, self._classes),
                )
            )
        if self._config.batch.asks_after is not None:
            return self.offering(pool, skipped).suggestions
        batches = self.batches(pool)
        return self._open(pool, batches, NO_BATCH, skipped).suggestions

    def upcoming(self, pool: Pool, skipped: IntArray, count: int) -> Suggestions:
        """Return what to label next, and behind it what else would be chosen now.

        The first ones are those of ``suggest``. Who labels at the same time gets the others.

        Args:
            pool: what is labelled.
            skipped: (S,), instances that are not suggested.
            count: how many there are in all, where there are candidates enough.
        """
        if not self.is_ready(pool):
            first = self._left_of_first(pool, skipped)
            more = self._left_of_first(pool, skipped, count).indices
            further = more[~np.isin(more, first.indices)][: max(0, count - len(first.indices))]
            return self._first(np.concatenate([first.indices, further]))
        batches, begun = self.batches(pool), NO_BATCH
        if self._config.batch.asks_after is not None:
            begun = self._begun(batches)
        return self._continued(pool, batches, begun, skipped).suggestions_and_further(count)

    def _continued(
        self, pool: Pool, batches: list[Batch], begun: Batch, skipped: IntArray
    ) -> "_BatchOfStrategy":
        """Open a batch, or go on from where ``upcoming`` left it before the newest labels."""
        former = self._opened
        if former is None or not former.continues_to(batches, begun, skipped):
            opened = self._open(pool, batches, begun, skipped)
        else:
            opened = former.opened
            for index, label in list(zip(*begun, strict=True))[len(former.begun[0]) :]:
                opened.take(int(index), int(label))
        self._opened = _Begun(batches, begun, skipped, opened)
        return opened

    def offering(self, pool: Pool, skipped: IntArray) -> "Offering":
        """Return what is left of the batch that is begun, or the start of the next one.

        Args:
            pool: what is labelled.
            skipped: (S,), instances that are not suggested.
        """
        if not self.is_ready(pool):
            return _FirstBatch(self._left_of_first(pool, skipped))
        batches = self.batches(pool)
        begun = self._begun(batches)
        return self._open(pool, batches, begun, skipped)

    def _begun(self, batches: list[Batch]) -> Batch:
        """Take the batch that is begun from the end of all batches."""
        is_begun = len(batches) > 1 and len(batches[-1][0]) < self._config.batch.size
        return batches.pop() if is_begun else NO_BATCH

    def _open(
        self, pool: Pool, batches: list[Batch], begun: Batch, skipped: IntArray
    ) -> "_BatchOfStrategy":
        before = Pool.unlabelled(self._size)
        for batch in batches:
            before = before.label(*batch)
        model, config = self._model_after(batches), self._config
        candidates = self._selector.candidates(len(batches), before, skipped)
        unasked = begun[0][~np.isin(begun[0], candidates)]
        candidates = np.concatenate([candidates, unasked])
        opened = OpenBatch(
            self._selector,
            config.batch.size,
            config.batch.asks_after or config.batch.size,
            self._selector.query(
                len(batches), candidates, replace(before, unlabelable=skipped), model
            ),
            candidates,
        )
        for index, label in zip(*begun, strict=True):
            opened.take(int(index), int(label))
        return _BatchOfStrategy(opened, config.strategy.display_name)

    def _model_after(self, batches: list[Batch]) -> Model:
        """Return the model after some batches, from the last one where that covers a part."""
        if self._latest is not None and _are_equal(self._latest[0], batches):
            return self._latest[1]
        start = Pool.unlabelled(self._size)
        learned = 0 if self._known is None else _common(self._known[0], batches)
        cycles = range(learned, len(batches))
        if (
            self._known is None
            or learned < len(self._known[0])
            or any(self._learning.retrains(cycle) for cycle in cycles)
        ):
            model = self._learning.after_all(start, batches)
        else:
            model, pool = self._known[1], start
            for cycle, batch in enumerate(batches):
                pool = pool.label(*batch)
                if cycle >= learned:
                    model = self._learning.after(cycle, pool, model, batch)
        if len(batches) == 1 or len(batches[-1][0]) == self._config.batch.size:
            self._known = batches, model
        self._latest = batches, model
        return model

    def _left_of_first(self, pool: Pool, skipped: IntArray, least: int = 1) -> Suggestions:
        """Return what is left of the first labels; the same instances until one is skipped.

        Args:
            pool: what is labelled.
            skipped: (S,), instances that are not suggested.
            least: how many there are at least, where the pool has so many.
        """
        config, count = self._config, len(pool.indices)
        wanted = max(config.n_initial - count, least)
        nothing = Pool.unlabelled(self._size, skipped)
        picks = first_picks(
            config,
            self._learner.rows,
            self._order,
            nothing,
            count + wanted,
            n_classes=max(2, self._classes),
        )
        left = picks[~np.isin(picks, pool.indices)][:wanted]
        return self._first(left)

    def _first(self, indices: IntArray) -> Suggestions:
        none = np.full(len(indices), np.nan)
        return Suggestions(indices, None, none, f"{BY_INITIAL}={self._config.initial}")


NO_BATCH: Batch = (NONE, NONE)
"""Nothing labelled yet."""


def _without(pool: Pool, skipped: IntArray) -> Pool:
    return replace(pool, reserved=skipped)


def _common(known: Sequence[Batch], batches: Sequence[Batch]) -> int:
    """Return how many batches are the same from the start on."""
    for number, (first, second) in enumerate(zip(known, batches, strict=False)):
        if not all(np.array_equal(a, b) for a, b in zip(first, second, strict=True)):
            return number
    return min(len(known), len(batches))


def _are_equal(known: Sequence[Batch], batches: Sequence[Batch]) -> bool:
    return len(known) == len(batches) == _common(known, batches)


class _FirstBatch(Offering):
    """Instances that were chosen before there is a model."""

    def __init__(self, suggestions: Suggestions) -> None:
        self._suggestions = suggestions

    @property
    @override
    def suggestions(self) -> Suggestions:
        return self._suggestions

    @override
    def take(self, index: int, label: int) -> None:
        left = self._suggestions.indices != index
        self._suggestions = replace(
            self._suggestions,
            indices=self._suggestions.indices[left],
            scores=self._suggestions.scores[left],
        )


class _BatchOfStrategy(Offering):
    """Instances that a strategy chose by a model."""

    def __init__(self, opened: OpenBatch, strategy: str) -> None:
        self._opened, self._strategy = opened, strategy

    @property
    @override
    def suggestions(self) -> Suggestions:
        return self._of(self._opened.offered)

    @override
    def take(self, index: int, label: int) -> None:
        self._opened.take(index, label)

    def has_candidates(self, indices: IntArray) -> bool:
        """Return whether all instances are candidates, whose labels can be taken."""
        return self._opened.has_candidates(indices)

    def suggestions_and_further(self, count: int) -> Suggestions:
        """Return the suggestions, and behind them more candidates, ``count`` in all."""
        offered = self._opened.offered
        further = self._opened.further(count - len(offered))
        return self._of(np.concatenate([offered, further]))

    def _of(self, indices: IntArray) -> Suggestions:
        return Suggestions(
            indices,
            self._opened.probabilities(indices),
            self._opened.scores(indices),
            self._strategy,
        )


@dataclass(frozen=True)
class _Begun:
    """A batch of which some labels are there.

    Attributes:
        batches: those before it.
        begun: its labels.
        skipped: (S,), instances that are not suggested.
        opened: the batch after these labels.
    """

    batches: list[Batch]
    begun: Batch
    skipped: IntArray
    opened: _BatchOfStrategy

    def continues_to(self, batches: list[Batch], begun: Batch, skipped: IntArray) -> bool:
        """Return whether nothing has come but more labels of this batch, of its candidates."""
        part = len(self.begun[0])
        return (
            _are_equal(self.batches, batches)
            and np.array_equal(self.skipped, skipped)
            and part <= len(begun[0])
            and all(np.array_equal(a, b[:part]) for a, b in zip(self.begun, begun, strict=True))
            and self.opened.has_candidates(begun[0][part:])
        )
