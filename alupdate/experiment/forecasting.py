"""What a run expects of its accuracy, cycle by cycle, without looking at the test set."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from alupdate.config import RunConfig
from alupdate.config.forecasts import ExpectedAccuracy
from alupdate.config.values import NO_LABEL
from alupdate.data.dataset import IntArray
from alupdate.data.pool import Annotator, Pool
from alupdate.forecast.accuracy import LeftOut, expected_accuracy
from alupdate.forecast.growth import later_accuracies
from alupdate.forecast.intervals import Estimate, binomial_estimate, binomial_interval
from alupdate.laplace.temperature import logits_without_own_label
from alupdate.models.learner import Model, labelled
from alupdate.results.forecasts import Expectation, Forecast
from alupdate.results.records import CycleRecord
from alupdate.utils.errors import InputError
from alupdate.utils.seeds import Stream, generator

N_UNLABELLED = 1000
"""Unlabelled instances whose confidences stand for those of the pool, at most."""


class Forecaster:
    """Adds what is expected to the records of cycles, where the config asks for it.

    Attributes:
        held_out: (H,), pool instances whose labels are acquired for this alone.
    """

    def __init__(self, config: RunConfig, annotator: Annotator, order: IntArray) -> None:
        """Set instances aside.

        They come from the end of the random order whose start are the initial labels, so that runs
        with and without them begin with the same labels.

        Args:
            config: says what is to be expected, and how.
            annotator: of the run.
            order: (N,), the pool in random order.

        Raises:
            InputError: nothing but the initial labels would be left.
        """
        wanted = config.forecast
        self._settings = wanted if isinstance(wanted, ExpectedAccuracy) else None
        self._seed, self._annotator = config.seed, annotator
        size = 0 if self._settings is None else self._settings.holdout
        if size and size >= len(order) - config.n_initial:
            raise InputError(
                f"forecast.holdout={size}: leaves no candidates in a pool of {len(order)}"
            )
        self.held_out = order[len(order) - size :]

    def with_forecast(
        self, record: CycleRecord, pool: Pool, model: Model, earlier: Sequence[CycleRecord]
    ) -> CycleRecord:
        """Return the record of a cycle with what is expected after it.

        Args:
            record: of the cycle.
            pool: with its labels.
            model: after it.
            earlier: the records of the cycles before.
        """
        if self._settings is None:
            return record
        size = len(self.held_out)
        n_labelled = record.n_labelled + (0 if earlier else size)
        cycle = record.cycle
        now = self._held_out(model) if size else left_out_estimate(self._seed, cycle, pool, model)
        if now is None:
            return replace(record, n_labelled=n_labelled, forecast=Forecast(size, 0.0, ()))
        estimates = [*_estimates(earlier), (n_labelled, now)]
        left = len(pool.candidates())
        expected = expectations(self._settings, self._seed, cycle, estimates, left)
        forecast = Forecast(size, now.error, expected)
        return replace(record, n_labelled=n_labelled, forecast=forecast)

    def _held_out(self, model: Model) -> Estimate | None:
        """Return the accuracy on the instances that are set aside and that have a label."""
        given = self._annotator.annotate(self.held_out)
        if not (given != NO_LABEL).any():
            return None
        rows, labels = labelled(model, self.held_out[given != NO_LABEL], given[given != NO_LABEL])
        right = model.posterior.logits(rows).argmax(dim=1) == labels
        return binomial_estimate(int(right.sum()), len(labels))


def expectations(
    settings: ExpectedAccuracy,
    seed: int,
    cycle: int,
    estimates: Sequence[tuple[int, Estimate]],
    left: int,
) -> tuple[Expectation, ...]:
    """Return what is expected now and after further labels, by the estimates so far.

    Args:
        settings: the level of the intervals, and how far ahead.
        seed: of the run.
        cycle: numbers the random draws.
        estimates: numbers of labels, ascending, and the accuracies that were expected then; the
            last one is that of now.
        left: how many instances can still be labelled; nothing is said of more labels.
    """
    _, now = estimates[-1]
    interval = (
        binomial_interval(round(now.mean * now.count), now.count, settings.level)
        if settings.holdout
        else now.interval(settings.level)
    )
    rng = generator(seed, Stream.FORECAST, 2 * cycle + 1)
    later = later_accuracies(estimates, settings.ahead, rng)
    return (
        Expectation(0, interval),
        *(
            Expectation(count, estimate.interval(settings.level))
            for count, estimate in zip(settings.ahead, later, strict=False)
            if count <= left
        ),
    )


def left_out_estimate(seed: int, cycle: int, pool: Pool, model: Model) -> Estimate | None:
    """Return the accuracy that left-out labels let expect; None where they say nothing.

    Args:
        seed: of the run.
        cycle: numbers the random draws.
        pool: with the labels that the model has learnt.
        model: in question.
    """
    rows, labels = labelled(model, pool.indices, pool.labels)
    left_out = logits_without_own_label(model.posterior.mean, rows, labels)
    if left_out is None:
        return None
    rng = generator(seed, Stream.FORECAST, 2 * cycle)
    points = rng.permutation(pool.candidates())[:N_UNLABELLED]
    logits = model.posterior.logits(model.pool[torch.from_numpy(points)])
    known = LeftOut(left_out.numpy(force=True), pool.labels, logits.double().numpy(force=True))
    return expected_accuracy(known, rng) if np.isfinite(known.pool).all() else None


def _estimates(records: Sequence[CycleRecord]) -> list[tuple[int, Estimate]]:
    """Return the numbers of labels and the estimates of the cycles that have one."""
    found = [(r.n_labelled, r.forecast) for r in records if r.forecast is not None]
    return [
        (count, Estimate(f.now.value, f.error, f.n_held_out or count))
        for count, f in found
        if f.now is not None
    ]
