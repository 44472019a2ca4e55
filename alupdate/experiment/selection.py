"""From the pool and the model to a strategy's query, and back to pool indices."""

from dataclasses import replace

import torch

from alupdate.config import RunConfig, SequentialBatch
from alupdate.data.dataset import Dataset, IntArray
from alupdate.data.pool import Annotator, Pool
from alupdate.experiment.setup import learner_settings
from alupdate.laplace.names import SECOND_ORDER
from alupdate.laplace.rules import UpdateRule
from alupdate.models.learner import Model, labelled, make_rule, step_size
from alupdate.strategies.base import Oracle, Query, build_batch
from alupdate.utils.errors import InputError
from alupdate.utils.seeds import Stream, generator

MANY_CLASSES = 5
"""With how many a strategy is tried out at most: with more, some take minutes."""


class Selector:
    """Asks the configured strategy for the next batch."""

    def __init__(self, config: RunConfig, dataset: Dataset, annotator: Annotator) -> None:
        self._config, self._dataset, self._annotator = config, dataset, annotator
        self._strategy = config.strategy
        self._strategy.load()
        self._try_out()
        between = config.batch.update if isinstance(config.batch, SequentialBatch) else None

        def rule_of(name: str) -> UpdateRule:
            return make_rule(name, config.update.n_hypotheses, config.seed)

        self._between = rule_of(between or SECOND_ORDER)
        hypothetical = self._strategy.hypothetical_update
        self._rule = None if hypothetical is None else rule_of(hypothetical)
        self._tuned = self._rule or (self._between if between else None)

    def _try_out(self) -> None:
        config, pool = self._config, len(self._dataset.train)
        candidates = max(config.batch.size, min(config.subset or pool, pool - config.n_initial))
        classes = min(len(self._dataset.classes), MANY_CLASSES)
        self._strategy.try_out(classes, config.n_initial, candidates, config.batch.size)

    @property
    def is_oracle(self) -> bool:
        """Whether the strategy sees labels that were not acquired."""
        return self._strategy.needs_oracle

    def select(self, cycle: int, pool: Pool, model: Model) -> IntArray:
        """Return the pool indices (b,) of the next batch.

        Candidates come in random order, so that a strategy's ties are broken at random.
        """
        seed = self._config.seed
        candidates = generator(seed, Stream.SUBSET, cycle).permutation(pool.candidates())
        if self._config.subset is not None:
            candidates = candidates[: self._config.subset]
        query = self._query(cycle, candidates, pool, model)
        if self.is_oracle:
            query = replace(query, oracle=self._oracle(candidates, pool, model))
        positions = build_batch(
            self._strategy,
            query,
            self._config.batch,
            self._between,
            annotate=lambda picked: _on_device_of(
                model, self._annotator.annotate(candidates[picked])
            ),
        )
        return candidates[positions]

    def _query(self, cycle: int, candidates: IntArray, pool: Pool, model: Model) -> Query:
        features = model.pool[torch.from_numpy(candidates)]
        rows, labels = labelled(model, pool.indices, pool.labels)
        return Query.of(
            model.posterior,
            features,
            rows,
            labels,
            seed=generator(self._config.seed, Stream.STRATEGY, cycle),
            gamma=self._gamma(cycle, pool, model),
            rule=self._rule,
        )

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

    def _oracle(self, candidates: IntArray, pool: Pool, model: Model) -> Oracle:
        """Return the labels that only an upper baseline may see."""
        place, dataset = self._strategy.evaluation_set, self._dataset
        candidate_labels = _on_device_of(model, dataset.train_labels[candidates])
        if place == "test":
            return Oracle(candidate_labels, model.test, _on_device_of(model, dataset.test_labels))
        chosen = pool.reserved if place == "holdout" else pool.candidates()
        return Oracle(
            candidate_labels,
            model.pool[torch.from_numpy(chosen)],
            _on_device_of(model, dataset.train_labels[chosen]),
        )


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


def _on_device_of(model: Model, values: IntArray) -> torch.Tensor:
    return torch.from_numpy(values).to(model.pool.device)
