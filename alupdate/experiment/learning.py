"""How a model learns from one batch of labels to the next, and how it is scored."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from alupdate.config import RunConfig
from alupdate.data.dataset import IntArray
from alupdate.data.pool import Pool
from alupdate.experiment.setup import learner_settings
from alupdate.laplace.names import MAP
from alupdate.laplace.predictive import predict
from alupdate.laplace.rules import UpdateRule
from alupdate.laplace.temperature import temperature_of_labels
from alupdate.models.learner import Learner, Model, labelled, make_rule, step_size, updated_model
from alupdate.utils.metrics import score
from alupdate.utils.seeds import Stream, generator

Batch = tuple[IntArray, IntArray]
"""Pool indices (b,) and class indices (b,) of the labels that came together."""
MOST_PRODUCTS = 3e11
"""Multiplications that a temperature may take: some seconds on one core."""


class Learning:
    """Retrains and updates models as a config says.

    A model follows from the labels alone: whatever is random is numbered by cycle.
    """

    def __init__(self, config: RunConfig, learner: Learner) -> None:
        self._config, self._learner = config, learner
        name = config.update.compare_with if config.update.name == "retrain" else config.update.name
        self.rule: UpdateRule = make_rule(name, config.update.n_hypotheses, config.seed)

    def retrains(self, cycle: int) -> bool:
        """Return whether a cycle retrains, where others update."""
        settings = self._config.update
        every = settings.retrain_every
        return (
            cycle == 0 or settings.name == "retrain" or (every is not None and cycle % every == 0)
        )

    def retrain(self, cycle: int, pool: Pool) -> Model:
        """Return the model trained on all labels of the pool."""
        return self._learner.fit(pool.indices, pool.labels, cycle)

    def gamma(self, cycle: int, pool: Pool, before: Model) -> float:
        """Return the step size for the update in a cycle, given the labels it brings, too."""
        config = self._config
        return step_size(
            config.update.gamma,
            self.rule,
            before,
            pool,
            config.batch.size,
            learner_settings(config),
            cycle,
        )

    def after(self, cycle: int, pool: Pool, before: Model, batch: Batch) -> Model:
        """Return the model after a cycle.

        Args:
            cycle: its number.
            pool: with the labels of the batch.
            before: the model before it.
            batch: what was labelled in the cycle.
        """
        if self.retrains(cycle):
            return self.retrain(cycle, pool)
        return updated_model(self.rule, before, *batch, self.gamma(cycle, pool, before))

    def after_all(self, pool: Pool, batches: Sequence[Batch]) -> Model:
        """Return the model after the batches of cycles 0, 1, ..., one at least.

        It is trained at the last cycle that retrains, and updated since then.

        Args:
            pool: in which nothing is labelled.
            batches: of the cycles, in order.
        """
        last = max(cycle for cycle in range(len(batches)) if self.retrains(cycle))
        for batch in batches[: last + 1]:
            pool = pool.label(*batch)
        model = self.retrain(last, pool)
        for cycle, batch in enumerate(batches[last + 1 :], start=last + 1):
            pool = pool.label(*batch)
            model = self.after(cycle, pool, model, batch)
        return model


def chosen_temperature(config: RunConfig, model: Model, pool: Pool) -> float:
    """Return the temperature that the labels of a pool choose, each left out in closed form.

    NaN where the features are trained, as these have seen the labels, and where it would take more
    than ``MOST_PRODUCTS``.

    Args:
        config: says whether the features are trained.
        model: that has learnt the labels of the pool.
        pool: what is labelled.
    """
    mean, count = model.posterior.mean, len(pool.indices)
    classes, dimension = mean.shape
    products = classes * min(count, dimension) ** 2 * max(count, dimension)
    if not config.backbone.frozen or products > MOST_PRODUCTS:
        return math.nan
    return temperature_of_labels(mean, *labelled(model, pool.indices, pool.labels))


def score_model(
    config: RunConfig, model: Model, test_labels: Tensor, pool: Pool | None = None
) -> dict[str, float]:
    """Return every metric on the test set; sampled predictives see the same noise each time.

    Args:
        config: names the predictive distribution and the seed.
        model: whose test features are used.
        test_labels: (T,), class indices.
        pool: with the labels that the model has learnt, which choose the temperature of the MAP
            predictive; None for no temperature.
    """
    predictive = config.posterior.predictive
    if predictive == MAP:
        temperature = math.nan if pool is None else chosen_temperature(config, model, pool)
        return score(model.posterior.logits(model.test), test_labels, temperature)
    rng = generator(config.seed, Stream.PREDICTIVE)
    probabilities = predict(model.posterior, model.test, predictive, rng)
    tiny = torch.finfo(torch.float32).tiny
    return score(probabilities.double().clamp_min(tiny).log(), test_labels)
