"""From the pool and the model to a strategy's query, and back to pool indices."""

from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from alupdate.config import RunConfig, SequentialBatch
from alupdate.config.values import NO_LABEL
from alupdate.data.dataset import Dataset, IntArray
from alupdate.data.pool import Pool
from alupdate.experiment.setup import learner_settings
from alupdate.laplace.names import GAUSSIAN, SECOND_ORDER
from alupdate.laplace.posterior import fit_posterior
from alupdate.laplace.rules import UpdateRule
from alupdate.models.learner import (
    Model,
    Retraining,
    Rows,
    labelled,
    make_rule,
    step_size,
)
from alupdate.strategies.base import Oracle, Positions, Query, Retrain, Strategy, after_labels
from alupdate.strategies.batches import build_batch, chooser_of, require_utilities
from alupdate.strategies.diversity import TypiClust
from alupdate.strategies.herding import MaxHerding
from alupdate.strategies.label_flips import KMeansCentres
from alupdate.strategies.probcover import ProbCover
from alupdate.utils.errors import InputError
from alupdate.utils.seeds import Stream, generator

NONE: IntArray = np.empty(0, dtype=np.int64)
"""No instances."""
COLD_START: Mapping[str, Strategy] = {
    "kmeans": KMeansCentres(),
    "typiclust": TypiClust(),
    "coverage": ProbCover(),
    "maxherding": MaxHerding(),
}
"""Strategies that need no model."""
MANY_CLASSES = 5
"""With how many a strategy is tried out at most: with more, some take minutes."""


class Selector:
    """Asks the configured strategy for the next batch."""

    def __init__(self, config: RunConfig, dataset: Dataset | None = None) -> None:
        """Load what the strategy needs.

        Args:
            config: names the strategy, and how batches are built.
            dataset: whose true labels an oracle sees; None where nobody knows them.

        Raises:
            InputError: something that the strategy needs is missing.
        """
        self._config, self._dataset = config, dataset
        self._outliers = NONE if dataset is None else outliers_of(dataset)
        self.strategy = config.strategy
        self.strategy.load()
        require_utilities(self.strategy, config.batch, self.strategy.name)
        if dataset is not None:
            self._try_out(dataset)
        between = config.batch.update if isinstance(config.batch, SequentialBatch) else None

        def rule_of(name: str) -> UpdateRule:
            return make_rule(name, config.update.n_hypotheses, config.seed)

        self.between = rule_of(between or SECOND_ORDER)
        self.chooser = chooser_of(self.strategy, config.batch, self.between)
        hypothetical = self.strategy.hypothetical_update
        self._rule = None if hypothetical is None else rule_of(hypothetical)
        self._tuned = self._rule or (self.between if between else None)

    def _try_out(self, dataset: Dataset) -> None:
        config, pool = self._config, len(dataset.train)
        candidates = max(config.batch.size, min(config.subset or pool, pool - config.n_initial))
        classes = min(len(dataset.classes), MANY_CLASSES)
        self.strategy.try_out(classes, config.n_initial, candidates, config.batch.size)

    @property
    def is_oracle(self) -> bool:
        """Whether the strategy sees labels that were not acquired."""
        return self.strategy.needs_oracle

    def select(
        self,
        cycle: int,
        pool: Pool,
        model: Model,
        annotate: Callable[[IntArray], IntArray],
        n_fewer: int = 0,
    ) -> IntArray:
        """Return the pool indices (b,) of the next batch.

        An oracle sees which instances have no label, and passes them over.

        Args:
            cycle: numbers the random streams.
            pool: what is labelled.
            model: after those labels.
            annotate: returns the labels of pool indices, where a sequential batch needs them.
            n_fewer: by how many the batch is smaller than configured.
        """
        batch = self._config.batch
        if n_fewer:
            batch = replace(batch, size=batch.size - n_fewer)
        candidates = self.candidates(cycle, pool, self._outliers if self.is_oracle else NONE)
        query = self.query(cycle, candidates, pool, model)
        device = query.features.device
        if self.is_oracle:
            query = replace(
                query,
                oracle=self._oracle(candidates, pool, model, device),
                retrain=self._retraining(cycle, model),
            )
        positions = build_batch(
            self.strategy,
            query,
            batch,
            self.between,
            annotate=lambda picked: torch.from_numpy(annotate(candidates[picked])).to(device),
        )
        return candidates[positions]

    def candidates(self, cycle: int, pool: Pool, passed_over: IntArray = NONE) -> IntArray:
        """Return the pool indices (P,) that a query is about.

        They come in random order, so that a strategy's ties are broken at random.

        Args:
            cycle: numbers the random stream.
            pool: what is labelled.
            passed_over: instances that are not to be chosen; without them, the order is the same.
        """
        drawn = generator(self._config.seed, Stream.SUBSET, cycle).permutation(pool.candidates())
        if len(passed_over):
            drawn = drawn[~np.isin(drawn, passed_over)]
        return drawn if self._config.subset is None else drawn[: self._config.subset]

    def query(self, cycle: int, candidates: IntArray, pool: Pool, model: Model) -> Query:
        """Return the query at the start of a batch; an oracle's lacks what only that may see.

        Its tensors are where the model's queries are answered.
        """
        there = model.for_queries()
        features = there.pool[torch.from_numpy(candidates)]
        rows, labels = labelled(there, pool.indices, pool.labels)
        return Query.of(
            there.posterior,
            features,
            rows,
            labels,
            seed=generator(self._config.seed, Stream.STRATEGY, cycle),
            gamma=self._gamma(cycle, pool, model),
            rule=self._rule,
            unlabelable=_rows(there, pool.unlabelable),
        )

    def _retraining(self, cycle: int, model: Model) -> Retrain:
        """Return what trains a last layer as, and where, the run does after this query's batch."""
        settings, n_classes = learner_settings(self._config), len(model.posterior.mean)
        return Retraining(n_classes, settings, cycle, model.test.device)

    def _gamma(self, cycle: int, pool: Pool, model: Model) -> float:
        """Return the step size of updates within a query; 0 where it makes none."""
        if self._tuned is None:
            return 0.0
        config = self._config
        return step_size(
            config.update.gamma,
            self._tuned,
            model,
            pool,
            config.batch.size,
            learner_settings(config),
            cycle,
        )

    def _oracle(
        self, candidates: IntArray, pool: Pool, model: Model, device: torch.device
    ) -> Oracle:
        """Return the labels that only an upper baseline may see, on a device."""
        place, dataset, rows = self.strategy.evaluation_set, self._dataset, model.copied or model
        assert dataset is not None
        candidate_labels = torch.from_numpy(dataset.train_labels[candidates]).to(device)
        if place == "test":
            labels = torch.from_numpy(dataset.test_labels).to(device)
            return Oracle(candidate_labels, rows.test, labels)
        chosen = pool.reserved if place == "holdout" else pool.candidates()
        chosen = chosen[dataset.train_labels[chosen] != NO_LABEL]
        return Oracle(
            candidate_labels,
            rows.pool[torch.from_numpy(chosen)],
            torch.from_numpy(dataset.train_labels[chosen]).to(device),
        )


def _rows(model: Model, indices: IntArray) -> Tensor | None:
    """Return the features (U, D) of pool indices, None for none."""
    return model.pool[torch.from_numpy(indices)] if len(indices) else None


def outliers_of(dataset: Dataset) -> IntArray:
    """Return the pool indices of the instances that nobody can label."""
    return np.flatnonzero(dataset.train_labels == NO_LABEL)


class OpenBatch:
    """A batch whose labels come in one after the other, as annotators give them.

    With the labels that ``build_batch`` would be given, it offers what ``build_batch`` returns.

    Attributes:
        offered: pool indices that are to be labelled now, best first.
    """

    def __init__(
        self,
        selector: Selector,
        size: int,
        every: int,
        query: Query,
        candidates: IntArray,
    ) -> None:
        """Offer the first picks.

        Args:
            selector: the strategy, and the update between picks.
            size: how many instances the batch has.
            every: how many are offered at a time; all of them where no labels are waited for.
            query: the state before the batch.
            candidates: (P,), the pool indices that the query is about.
        """
        self._selector, self._size, self._every = selector, size, every
        self._query, self._candidates = query, candidates
        self._places = {int(index): place for place, index in enumerate(candidates)}
        self._taken: list[tuple[int, int]] = []
        self._count = 0
        self.offered = NONE
        self._scores: NDArray[np.floating] | None = None
        self._offer()

    def take(self, index: int, label: int) -> None:
        """Take the label of a candidate; the last of those offered brings an update.

        Raises:
            KeyError: it is no candidate.
        """
        self._taken.append((self._places[index], label))
        self._count += 1
        self.offered = self.offered[self.offered != index]
        if self._count >= self._size:  # labels that nobody asked for may have filled the batch
            self.offered = NONE
            return
        if len(self._taken) < self._every:
            return
        places, labels = (
            np.array(values, dtype=np.int64) for values in zip(*self._taken, strict=True)
        )
        self._taken = []
        given = torch.from_numpy(labels).to(self._query.features.device)
        self._query = after_labels(self._query, places, given, self._selector.between)
        self._offer()

    def has_candidates(self, indices: IntArray) -> bool:
        """Return whether all of these pool indices are candidates, whose labels can be taken."""
        return all(int(index) in self._places for index in indices)

    def further(self, count: int) -> IntArray:
        """Return up to ``count`` candidates besides those offered, as the strategy sees it now."""
        query, taken = self._query, [place for place, _ in self._taken]
        passed = {*taken, *(self._places[int(index)] for index in self.offered)}
        wanted = min(count + len(passed), len(query.free()))
        if count <= 0 or wanted <= 0:
            return NONE
        asked = replace(query, rng=deepcopy(query.rng))
        picked = self._selector.chooser.select(asked, wanted)
        return self._candidates[[place for place in picked.tolist() if place not in passed][:count]]

    def probabilities(self, indices: IntArray) -> NDArray[np.floating]:
        """Return the class probabilities (n, C) of candidates at the present mean weights."""
        places = torch.tensor([self._places[int(index)] for index in indices], dtype=torch.int64)
        logits = self._query.logits_at(places.to(self._query.features.device))
        return torch.softmax(logits, dim=1).numpy(force=True)

    def scores(self, indices: IntArray) -> NDArray[np.floating]:
        """Return the utilities (n,) of candidates for the next pick; NaN where there are none."""
        if self._scores is None:
            return np.full(len(indices), np.nan)
        return self._scores[[self._places[int(index)] for index in indices]]

    def _offer(self) -> None:
        """Ask the strategy for the next picks; those that were labelled unasked do not count."""
        query = self._query
        wanted = min(self._every, self._size - self._count, len(query.free()))
        if wanted <= 0:
            return
        utilities = getattr(self._selector.strategy, "utilities", None)
        if utilities is not None:  # with the random numbers that ``select`` is going to see
            scores = utilities(replace(query, rng=deepcopy(query.rng)))
            self._scores = scores.numpy(force=True)
        picked: Positions = self._selector.chooser.select(query, wanted)
        self.offered = self._candidates[picked]


def first_picks(
    config: RunConfig,
    rows: Rows | None,
    order: IntArray,
    pool: Pool,
    size: int | None = None,
    *,
    n_classes: int,
) -> IntArray:
    """Return the pool indices (b,) that are labelled before there is a model.

    Args:
        config: says how they are chosen.
        rows: the pool's features (N, D), where they are not chosen at random.
        order: (N,), the pool in random order.
        pool: what is labelled already, or set aside.
        size: b; None for ``n_initial``.
        n_classes: as many clusters are looked for where coverage needs a radius.
    """
    wanted = config.n_initial if size is None else size
    candidates = order[np.isin(order, pool.candidates())]
    if config.initial == "random":
        return candidates[:wanted]
    assert rows is not None
    if config.subset is not None:
        candidates = candidates[: max(config.subset, wanted)]
    features = rows[torch.from_numpy(candidates)]
    known = rows[torch.from_numpy(pool.indices)]
    weights = features.new_zeros(n_classes, features.shape[1])
    query = Query.of(
        fit_posterior(weights, features[:0], GAUSSIAN, config.posterior.prior_precision),
        features,
        known,
        torch.from_numpy(pool.labels).to(features.device),
        seed=generator(config.seed, Stream.STRATEGY),
    )
    strategy = COLD_START[config.initial]
    return candidates[strategy.select(query, min(wanted, len(candidates)))]


def holdout(config: RunConfig, order: IntArray) -> IntArray:
    """Return the pool instances that are set aside to evaluate look-ahead on, if it wants any.

    They come from the end of the random ``order`` whose start are the initial labels, so that
    runs with and without a holdout begin with the same labels.

    Raises:
        InputError: nothing but the initial labels would be left.
    """
    size = config.strategy.n_holdout
    if size and size >= len(order) - config.n_initial:
        raise InputError(f"strategy.holdout={size}: leaves no candidates in a pool of {len(order)}")
    return order[len(order) - size :]
