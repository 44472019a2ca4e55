"""The page of the paper's numbers, and the file that has them."""

from itertools import groupby

import pytest

from alupdate.analysis.paper_numbers import CURVES, LAST_CYCLE, UPDATES, paper_numbers
from alupdate.analysis.paper_settings import needed_settings
from alupdate.config.options import options
from alupdate.results.reader import read_results
from alupdate.results.store import ADDED
from tests.support.documents import ROOT
from tests.support.experiments import settings_of, write_run

PAGE = (ROOT / "docs/findings/paper.md").read_text()


def cells(numbers, by):
    """Rows of numbers, one for each value of a field, in the order of the file."""
    rows = {}
    for number in numbers:
        rows.setdefault(by(number), []).append(number)
    return rows


def curve_table():
    numbers = [n for n in paper_numbers() if n.study == CURVES]
    lines = [["", *dict.fromkeys(f"`{n.dataset}`" for n in numbers)]]
    for method, row in cells(numbers, lambda n: n.method).items():
        thirds = [
            "/".join(f"{n.accuracy:.3f}".lstrip("0") for n in of_set)
            for _, of_set in groupby(row, lambda n: n.dataset)
        ]
        lines.append([f"`{method}`", *thirds])
    return lines


def update_table():
    numbers = [n for n in paper_numbers() if n.study == UPDATES]
    lines = [["labels", *dict.fromkeys(f"`{n.method}`" for n in numbers)]]
    for labels, row in cells(numbers, lambda n: n.n_initial).items():
        lines.append([f"{labels:,}", *(f"{n.accuracy:.4f}".lstrip("0") for n in row)])
    return lines


def size_table():
    numbers = [n for n in paper_numbers() if n.study == CURVES]
    settings = dict.fromkeys((n.dataset, n.n_initial, n.size, n.candidates) for n in numbers)
    lines = [["", "initial labels", "labels per cycle", "candidates"]]
    for dataset, *sizes, candidates in settings:
        shown = f"{int(candidates):,}" if candidates else "not known"
        lines.append([f"`{dataset}`", *map(str, sizes), shown])
    return lines


@pytest.mark.parametrize("table", [curve_table, update_table, size_table])
def test_the_page_has_the_numbers_of_the_file(table):
    heading, *rows = ("| " + " | ".join(line) + " |" for line in table())
    rule = "|---" * len(table()[0]) + "|"
    assert "\n".join([heading.replace("|  |", "| |"), rule, *rows]) in PAGE


def test_the_file_has_every_number_once():
    numbers = paper_numbers()
    assert len({(n.dataset, n.method, n.cell) for n in numbers}) == len(numbers) == 112
    found = {(n.dataset, n.method, n.cell): (n.accuracy, n.rounding) for n in numbers}
    assert found["cifar10", "random", "cycles 0-6"] == (0.713, 0.0005)
    assert found["cifar100", "boss", "cycles 14-20"] == (0.797, 0.0005)
    assert found["dtd", "margin", "cycles 14-20"] == (0.760, 0.0005)
    assert found["banking77", "second_order", "2000 labels"] == (0.7119, 0.00005)


def test_names_are_those_of_options():
    for number in paper_numbers():
        assert number.dataset in options("dataset")
        assert number.backbone in options("backbone")
        if number.study == CURVES:
            assert number.method.removesuffix("_binary") in options("strategy")


IN_TABLES = {
    "seed", "n_initial", "n_cycles", "dataset.name", "backbone.name", "strategy.name",
    "strategy.fisher", "batch.name", "batch.size", "update.name", "task.name",
}  # fmt: skip
"""Settings that columns or the method's name show."""
WITHOUT_EFFECT = {
    "dataset.root", "dataset.download", "dataset.label", "backbone.label", "strategy.label",
    "backbone.weights",  # a file is named; random is refused
    "backbone.standardise",  # theirs is false, our default true: both are compared
    "backbone.learning_rate", "backbone.augment",  # only where the network is trained
    "posterior.likelihood", "posterior.prior_precision",  # columns of updates; else not used
    "strategy.holdout",  # only where it is what batches are judged by
    "subset",  # needed where theirs is known; for random selection it makes no difference
    "update.gamma", "update.n_hypotheses", "update.retrain_every",  # not where one retrains
    "update.compare", "update.compare_with",
}  # fmt: skip
"""Settings that do not change what is compared, or may differ."""


@pytest.mark.parametrize(
    "number",
    [n for n in paper_numbers() if n.cell in ("cycles 0-6", "100 labels")
     and (n.dataset == "cifar10" or n.method in ("random", "base"))],
    ids=lambda number: f"{number.dataset}-{number.method}",
)  # fmt: skip
def test_every_setting_of_a_run_is_compared_or_makes_no_difference(number, tmp_path):
    """Defaults are what is needed, in the texts that runs write."""
    strategy = number.method.removesuffix("_binary") if number.study == CURVES else "margin"
    write_run(
        tmp_path / "e",
        dataset=settings_of("dataset", number.dataset),
        backbone=settings_of("backbone", number.backbone),
        strategy=settings_of("strategy", strategy),
    )
    (run,) = read_results(tmp_path / "e").runs
    needed = needed_settings(number)
    assert set(run.settings) - set(needed) <= IN_TABLES | WITHOUT_EFFECT
    unlike = [key for key, values in needed.items() if run.settings.get(key) not in values]
    assert set(unlike) <= set(ADDED)


def test_settings_of_the_paper_have_the_sizes_of_the_numbers():
    for number in paper_numbers():
        if number.study == UPDATES:
            task = settings_of("experiment/paper", "initial_sizes")["task"]
            assert number.n_initial in task["initial_sizes"]
            assert [number.size] == task["new_sizes"]
        elif number.dataset != "cifar100":  # which the paper does not have
            own = settings_of("setting", number.dataset)
            sizes = own["n_initial"], own["batch"]["size"], own["n_cycles"]
            assert sizes == (number.n_initial, number.size, LAST_CYCLE)
            assert number.candidates in ("", str(own["subset"]))
