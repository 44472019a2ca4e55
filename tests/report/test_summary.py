from hypothesis import given
from hypothesis import strategies as st

from alupdate.report.summary import common, duration, natural, ranges, varying


@given(st.sets(st.integers(0, 50), min_size=1))
def test_ranges_name_exactly_the_numbers(numbers):
    found = set()
    for part in ranges(numbers).split(", "):
        first, *last = part.split("\N{EN DASH}")
        found |= set(range(int(first), int(last[0] if last else first) + 1))
    assert found == numbers


def test_settings_are_common_or_vary():
    runs = [
        {"strategy.name": "a", "seed": "0", "size": "10", "strategy.k": "3"},
        {"strategy.name": "b", "seed": "1", "size": "10"},
        {"strategy.name": "b", "seed": "2", "size": "10"},
    ]
    assert common(runs) == {"size": "10"}
    found = {entry.key: entry for entry in varying(runs)}
    assert found["strategy.name"].values == (("a", 1), ("b", 2))
    assert found["seed"].values == (("0\N{EN DASH}2", 3),)
    assert (found["strategy.k"].owners, found["strategy.k"].is_choice) == (("a",), False)
    assert found["seed"].is_choice


def test_numbers_within_texts_are_sorted_by_value():
    assert sorted(["k 10", "k 9", "a", "2", "10"], key=natural) == ["2", "10", "a", "k 9", "k 10"]


def test_durations_have_the_unit_that_suits_them():
    assert [duration(s) for s in (1.25, 90.0, 5400.0)] == ["1.2 s", "1.5 min", "1.5 h"]
