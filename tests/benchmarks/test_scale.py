"""Queries of growing pools, by strategies whose cost is linear in the pool."""

from alupdate.analysis.benchmark_growth import growth_table
from benchmarks import scale
from benchmarks.table import table_of


def test_a_row_per_strategy_and_size_that_the_growth_figure_shows(without_memory):
    rows = list(scale.rows_of((20, 40), 5, 3, 4))
    assert [(row.value, row.what.partition(" ")[0]) for row in rows] == [
        (count, name) for count in (20, 40) for name in scale.STRATEGIES
    ]
    assert rows[0].what == "margin query: b=4 D=5 C=3 P=20"
    assert all(row.ours.seconds > 0 for row in rows)
    table = growth_table(table_of(rows))
    assert len(table) == len(rows)
    assert set(table["variable"]) == {scale.VARIABLE}


def test_a_wide_pool_is_no_part_of_the_growth(without_memory, monkeypatch):
    small = {"QUICK_POOLS": (20,), "DIMENSION": 5, "CLASSES": 3, "BATCH": 4, "LABELLED": 10}
    wide = {"WIDE": 7, "FEW_CLASSES": 2, "QUICK_WIDE_POOL": 25}
    for name, value in (small | wide).items():
        monkeypatch.setattr(scale, name, value)
    rows = list(scale.rows(True))
    last = rows[len(scale.STRATEGIES) :]
    assert [row.what for row in last] == [
        f"{name} query: b=4 D=7 C=2 P=25" for name in scale.STRATEGIES
    ]
    assert len(growth_table(table_of(rows))) == len(rows) - len(last) == len(scale.STRATEGIES)
