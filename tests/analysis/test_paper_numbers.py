"""The page of the paper's numbers, and the file that has them."""

from itertools import groupby

import pytest

from alupdate.analysis.paper_numbers import CURVES, LAST_CYCLE, UPDATES, paper_numbers
from alupdate.analysis.paper_settings import SAME_SETTINGS, _against_settings
from alupdate.config.options import options
from alupdate.results.reader import read_results
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


@pytest.mark.parametrize(
    ("dataset", "backbone"), dict.fromkeys((n.dataset, n.backbone) for n in paper_numbers())
)
def test_default_settings_are_those_of_the_numbers(dataset, backbone, tmp_path):
    """The texts of settings are as runs write them."""
    names = {"dataset": dataset, "backbone": backbone}
    write_run(tmp_path / "e", **{group: settings_of(group, name) for group, name in names.items()})
    (run,) = read_results(tmp_path / "e").runs
    assert {"training.epochs", "dataset.n_train"} <= set(run.settings)
    assert list(_against_settings(run.settings, SAME_SETTINGS)) == []


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
