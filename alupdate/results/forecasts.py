"""What a cycle says about the accuracy now and later, and forecast.csv."""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

FORECAST_COLUMNS = ("cycle", "n_labelled", "ahead", "expected", "lower", "upper")
"""Columns of forecast.csv besides those that say which run it is, and the truth."""


@dataclass(frozen=True)
class Interval:
    """An estimate with its interval.

    Attributes:
        value: the estimate.
        lower, upper: the ends of the interval, which contains it.
    """

    value: float
    lower: float
    upper: float

    def in_words(self) -> str:
        """Return the estimate and its interval with two decimals.

        Example:
            >>> Interval(0.925, 0.85, 1.0).in_words()
            '.93 (.85 to 1.00)'
        """
        value, lower, upper = (
            f"{number:.2f}".removeprefix("0") for number in (self.value, self.lower, self.upper)
        )
        return f"{value} ({lower} to {upper})"


@dataclass(frozen=True)
class Expectation:
    """The accuracy that is expected after further labels.

    Attributes:
        ahead: number of further labels; 0 for now.
        accuracy: with its interval.
    """

    ahead: int
    accuracy: Interval


@dataclass(frozen=True)
class Forecast:
    """What is expected after a cycle.

    Attributes:
        n_held_out: labels that were acquired for this alone.
        error: the standard error of the accuracy now; 0 where nothing is expected.
        expected: now, and after further labels; empty where the labels say nothing.
    """

    n_held_out: int
    error: float
    expected: tuple[Expectation, ...]

    @property
    def now(self) -> Interval | None:
        """The accuracy of the model; None where the labels say nothing about it."""
        return self.expected[0].accuracy if self.expected else None

    def in_words(self) -> str:
        """Return one line about now and later."""
        if self.now is None:
            return "expected accuracy: the labels say nothing about it yet"
        first, *others = self.expected
        later = [f"after {e.ahead} more labels {e.accuracy.in_words()}" for e in others]
        return "; ".join([f"expected accuracy {first.accuracy.in_words()}", *later])


def forecast_rows(
    cycles: Sequence[tuple[int, Forecast, float]],
) -> Iterator[tuple[list[object], float | None]]:
    """Yield the cells of ``FORECAST_COLUMNS`` and the accuracy that came true, if it is known.

    Between two cycles the accuracy that came true is interpolated.

    Args:
        cycles: labels so far, what was expected, and the accuracy on the test set.
    """
    labels = [count for count, _, _ in cycles]
    for number, (count, forecast, _) in enumerate(cycles):
        for expected in forecast.expected:
            found, wanted = expected.accuracy, count + expected.ahead
            cells: list[object] = [
                number,
                count,
                expected.ahead,
                found.value,
                found.lower,
                found.upper,
            ]
            yield cells, _reached(wanted, labels, [truth for _, _, truth in cycles])


def _reached(wanted: int, labels: Sequence[int], truths: Sequence[float]) -> float | None:
    place = bisect_left(labels, wanted)
    if place == len(labels):
        return None
    if labels[place] == wanted:
        return truths[place]
    share = (wanted - labels[place - 1]) / (labels[place] - labels[place - 1])
    return truths[place - 1] + share * (truths[place] - truths[place - 1])
