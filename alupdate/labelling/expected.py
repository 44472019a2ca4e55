"""What a campaign expects of its model: the accuracy now, and after further labels.

It is the forecast of simulated runs (``experiment.forecasting``). It follows from the labels in
their order: the accuracies so far are those of models that are trained on the first of them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate

from alupdate.config.forecasts import ExpectedAccuracy
from alupdate.config.values import RETRAIN
from alupdate.data.pool import Pool
from alupdate.experiment.forecasting import expectations, left_out_estimate
from alupdate.experiment.learning import Learning
from alupdate.forecast.intervals import Estimate
from alupdate.labelling.campaign import Campaign
from alupdate.labelling.suggester import Suggester
from alupdate.models.learner import Model
from alupdate.results.forecasts import Forecast
from alupdate.utils.display import Display

MARKS = tuple(2 ** (k / 4) for k in range(120))
"""Numbers of labels at which models are trained again, or soon after: four in each octave."""
WINDOW = 8
"""Models with fewer labels than this part of the present number are not trained again."""


@dataclass
class CampaignForecaster:
    """Says what a campaign expects of its model.

    Attributes:
        campaign: whose features and settings are used.
        suggester: of the campaign.
        known: estimates of earlier models, by the labels that these have learnt.
        of_trained: whether the latest forecast is of a model trained on the labels, as the updated
            one does not fit them.
    """

    campaign: Campaign
    suggester: Suggester
    known: dict[bytes, Estimate | None] = field(default_factory=dict)
    of_trained: bool = False

    @property
    def assumption(self) -> str:
        """What holds for the latest forecast, by left-out labels alone."""
        instead = "of a model trained on the labels, as the updated one does not fit them; "
        return (
            f"{instead if self.of_trained else ''}"
            f"{100 * self._settings.level:g} % intervals; no random instances were set aside, so "
            "they assume that new instances are like those of the pool, and that labels left out "
            "of the model show how far its confidence can be trusted"
        )

    def forecast(self, pool: Pool) -> Forecast | None:
        """Return what is expected of the model after all labels of a pool.

        None while there are too few labels for a model, and where nothing is left to label.

        Cost: one training for each earlier model, twelve at most, that was not estimated by the
        call before.
        """
        model = self.suggester.model(pool) if self.suggester.is_ready(pool) else None
        return None if model is None else self.forecast_of(pool, model)

    def forecast_of(self, pool: Pool, model: Model) -> Forecast | None:
        """Return what is expected of a model, as ``forecast``.

        Args:
            pool: what is labelled.
            model: after these labels.
        """
        if not len(pool.candidates()):
            return None
        seed, ends = self.campaign.config.seed, self._ends(pool)
        now = left_out_estimate(seed, len(ends) - 1, pool, model)
        self.of_trained = now is None and self._updates
        if self.of_trained:
            now = self.known[_key(pool)] = self._estimate(pool, len(ends) - 1)
        if now is None:
            return Forecast(0, 0.0, ())
        found = [*self._earlier(pool, ends, now), (len(pool.indices), now)]
        left = len(pool.candidates())
        expected = expectations(self._settings, seed, len(ends) - 1, found, left)
        return Forecast(0, now.error, expected)

    @property
    def _updates(self) -> bool:
        return self.campaign.config.update.name != RETRAIN

    @property
    def _settings(self) -> ExpectedAccuracy:
        wanted = self.campaign.config.forecast
        return wanted if isinstance(wanted, ExpectedAccuracy) else ExpectedAccuracy("expected")

    def _ends(self, pool: Pool) -> list[int]:
        """Return the numbers of labels at the ends of the batches so far."""
        return list(accumulate(len(indices) for indices, _ in self.suggester.batches(pool)))

    def _earlier(
        self, pool: Pool, ends: Sequence[int], now: Estimate
    ) -> Iterator[tuple[int, Estimate]]:
        """Yield estimates of models with fewer labels, each trained on them.

        A model that was updated may be worse than one that is trained on the same labels. So much
        worse are the earlier ones taken to have been.
        """
        counts = counts_looked_at(ends)
        trained = self._trained(pool, ends, [*counts, ends[-1]] if self._updates else counts)
        latest = trained.get(ends[-1])
        less = 0.0 if latest is None else latest.mean - now.mean
        for count in counts:
            estimate = trained[count]
            if estimate is not None:
                yield count, replace(estimate, mean=estimate.mean - less)

    def _trained(
        self, pool: Pool, ends: Sequence[int], counts: Sequence[int]
    ) -> dict[int, Estimate | None]:
        """Return estimates for models trained on the first labels; those known are kept."""
        parts = {count: _first(pool, count) for count in counts}
        keys = {count: _key(part) for count, part in parts.items()}
        self.known = {
            keys[count]: self.known[keys[count]]
            if keys[count] in self.known
            else self._estimate(part, ends.index(count))
            for count, part in parts.items()
        }
        return {count: self.known[key] for count, key in keys.items()}

    def _estimate(self, pool: Pool, cycle: int) -> Estimate | None:
        """Return the estimate for a model that is trained on all labels of a pool."""
        config = self.campaign.config
        model = Learning(config, self.suggester.learner).retrain(cycle, pool)
        return left_out_estimate(config.seed, cycle, pool, model)


def _first(pool: Pool, count: int) -> Pool:
    return Pool.unlabelled(pool.size).label(pool.indices[:count], pool.labels[:count])


def _key(pool: Pool) -> bytes:
    return pool.indices.tobytes() + pool.labels.tobytes()


def counts_looked_at(ends: Sequence[int]) -> list[int]:
    """Return the numbers of labels whose models show how the accuracy has grown, without the last.

    The first end of a batch at or after each of ``MARKS`` within the last factor ``WINDOW``.

    Args:
        ends: numbers of labels at the ends of batches, ascending.

    Example:
        >>> counts_looked_at([10, 20, 30, 40])
        [10, 20, 30]
        >>> counts_looked_at(range(10, 211, 10))
        [30, 40, 50, 60, 70, 80, 100, 110, 130, 160, 190]
    """
    last = ends[-1] if ends else 0
    marks = [mark for mark in MARKS if last <= WINDOW * mark and mark <= last]
    found = {next(end for end in ends if end >= mark) for mark in marks}
    return sorted(found - {last})


def say_expected(forecaster: CampaignForecaster, pool: Pool, display: Display) -> None:
    """Print what is expected after the labels of a pool, and what that assumes."""
    found = forecaster.forecast(pool)
    if found is None:
        return
    display.say(found.in_words())
    if found.now is not None:
        display.say(f"note: {forecaster.assumption}")
