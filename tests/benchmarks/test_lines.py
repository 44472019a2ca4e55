import math

import pytest

from benchmarks.lines import lines_of
from benchmarks.measure import Row, Timing


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (123.4, "123 s"),
        (1.0, "1.00 s"),
        (0.9996, "1000 ms"),
        (0.0123, "12.3 ms"),
        (2e-6, "0.00200 ms"),
    ],
)
def test_seconds_have_three_digits(seconds, text):
    assert f" {text} " in lines_of(Row("s", "step", Timing(seconds, 5, 1.0)))


def test_the_second_line_is_the_other_one_with_the_ratio():
    row = Row("s", "step", Timing(0.5, 5, 1.25), "a loop", Timing(2.0, 5, 40.0), "same batch")
    first, second = lines_of(row).splitlines()
    assert first.split() == ["step", "500", "ms", "1.2", "MiB"]
    assert second.startswith("  against a loop  ")
    assert second.endswith("  2.00 s    40.0 MiB  x 4        same batch")
    assert first.index("MiB") == second.index("MiB")


def test_unknown_memory_is_left_out():
    row = Row("s", "step", Timing(0.5, 5, math.nan), agreement="12% of the run")
    assert lines_of(row).split() == ["step", "500", "ms", "12%", "of", "the", "run"]
