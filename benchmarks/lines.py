"""A row of the benchmark as aligned text."""

import math

from benchmarks.measure import Row, Timing

WIDTH = 90
"""Of the words of a row; longer ones push its numbers to the right."""


def lines_of(row: Row) -> str:
    """Return a row as one line, and a second one for what the step is compared with.

    The second line says how many times as long the other one takes.
    """
    first = _line(row.what, row.ours)
    if row.other is None:
        return f"{first}  {row.agreement}".rstrip()
    ratio = f"x {row.other.seconds / row.ours.seconds:.3g}"
    second = _line(f"  against {row.against}", row.other)
    return f"{first}\n{second}  {ratio:<9}  {row.agreement}".rstrip()


def _line(words: str, timing: Timing) -> str:
    line = f"{words:<{WIDTH}}  {_seconds(timing.seconds):>9}  {_mib(timing.mib):>9}"
    return line if math.isnan(timing.device_mib) else f"{line}  + {_mib(timing.device_mib)} there"


def _seconds(seconds: float) -> str:
    """Return a time in s from one second on, otherwise in ms, with three digits."""
    number, unit = (seconds, "s ") if seconds >= 1 else (1000 * seconds, "ms")
    return f"{_three_digits(number)} {unit}"


def _mib(mib: float) -> str:
    return "" if math.isnan(mib) else f"{mib:.1f} MiB"


def _three_digits(number: float) -> str:
    decimals = max(0, 2 - math.floor(math.log10(number))) if number > 0 else 0
    return f"{number:.{decimals}f}"
