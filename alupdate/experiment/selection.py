"""From the pool and the model to a strategy's query, and back to pool indices."""

from dataclasses import replace

import torch

from alupdate.config import OracleStrategy, RunConfig, SequentialBatch
from alupdate.data.dataset import Dataset, IntArray
from alupdate.data.pool import Annotator, Pool
from alupdate.experiment.setup import learner_settings
from alupdate.laplace.updates import Rule, UpdateName
from alupdate.models.learner import Model, labelled, make_rule, step_size
from alupdate.strategies import make_strategy
from alupdate.strategies.base import Oracle, Query, build_batch
from alupdate.utils.errors import InputError
from alupdate.utils.seeds import Stream, generator


class Selector:
    """Asks the configured strategy for the next batch."""

    def __init__(self, config: RunConfig, dataset: Dataset, annotator: Annotator) -> None:
        self._config, self._dataset, self._annotator = config, dataset, annotator
        between = config.batch.update if isinstance(config.batch, SequentialBatch) else None

        def rule_of(name: UpdateName) -> Rule:
            return make_rule(name, config.update.n_hypotheses, config.seed)

        self._between = rule_of(between or "second_order")
        self._strategy = make_strategy(config.strategy, rule_of)
        hypothetical = getattr(config.strategy, "update", between)
        self._hypothetical = hypothetical and rule_of(hypothetical)

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
            buy=lambda picked: _on_device_of(model, self._annotator.annotate(candidates[picked])),
        )
        return candidates[positions]

    def _query(self, cycle: int, candidates: IntArray, pool: Pool, model: Model) -> Query:
        features = model.pool[torch.from_numpy(candidates)]
        rows, labels = labelled(model, pool.indices, pool.labels)
        return Query(
            features=features,
            logits=model.posterior.logits(features),
            posterior=model.posterior,
            chosen=torch.zeros(0, dtype=torch.int64, device=features.device),
            known_features=rows,
            labelled_labels=labels,
            gamma=self._gamma(cycle, pool, model),
            rng=generator(self._config.seed, Stream.STRATEGY, cycle),
        )

    def _gamma(self, cycle: int, pool: Pool, model: Model) -> float:
        """Return the step size of hypothetical updates; 0 where the query makes none."""
        if self._hypothetical is None:
            return 0.0
        config = self._config
        return step_size(
            config.update.gamma,
            self._hypothetical,
            model,
            pool,
            config.batch.size,
            learner_settings(config),
            cycle,
        )

    def _oracle(self, candidates: IntArray, pool: Pool, model: Model) -> Oracle:
        """Return the labels that only an upper baseline may see."""
        settings, dataset = self._config.strategy, self._dataset
        candidate_labels = _on_device_of(model, dataset.train_labels[candidates])
        if not isinstance(settings, OracleStrategy) or settings.evaluate_on == "test":
            return Oracle(candidate_labels, model.test, _on_device_of(model, dataset.test_labels))
        chosen = pool.reserved if settings.evaluate_on == "holdout" else pool.candidates()
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
    settings = config.strategy
    if not isinstance(settings, OracleStrategy) or settings.evaluate_on != "holdout":
        return order[:0]
    if settings.holdout >= len(order) - config.n_initial:
        raise InputError(
            f"strategy.holdout={settings.holdout}: leaves no candidates in a pool of {len(order)}"
        )
    return order[-settings.holdout :]


def _on_device_of(model: Model, values: IntArray) -> torch.Tensor:
    return torch.from_numpy(values).to(model.pool.device)
