"""Runs that lack a metric, as it was added later, or at some cycles, as it is not defined there."""

import json
import math
from dataclasses import replace

import pandas as pd
import pytest

import alupdate
from alupdate.analysis.catalogue import analysis_input, result_figures, result_tables
from alupdate.analysis.variants import named
from alupdate.labelling.outcome import with_row
from alupdate.report.commands import run_command
from alupdate.results.reader import Results, read_results
from alupdate.results.records import (
    CURVE_COLUMNS,
    UpdateRecord,
    run_tables,
    tables,
    update_table,
)
from alupdate.results.store import RunStore
from alupdate.trackers.tracker import points_of
from alupdate.utils.metrics import LATER_METRICS, METRIC_NAMES
from tests.support.curve_tables import random_curves
from tests.support.experiments import config, records, write_run

*_, LAST = METRIC_NAMES
BEFORE = [name for name in CURVE_COLUMNS if name not in LATER_METRICS]


def without_later(scores):
    return {name: value for name, value in scores.items() if name not in LATER_METRICS}


def earlier(record):
    """A cycle as it was recorded before the later metrics were added."""
    return replace(record, scores=without_later(record.scores))


def edited(path, change):
    """Change the table of a run."""
    table = pd.read_csv(path / "curve.csv")
    change(table).to_csv(path / "curve.csv", index=False, na_rep="nan")
    return path


def test_the_table_of_a_run_that_was_done_before_stays_as_it_was(tmp_path):
    old, *_ = tables("run", config(tmp_path), False, [*map(earlier, records(0, "x"))]).values()
    header, *rows = old.splitlines()
    assert header.split(",") == BEFORE
    assert len(rows) == 3
    assert "nan" not in old


def test_a_study_that_is_resumed_has_the_metric_from_then_on(tmp_path):
    new = UpdateRecord(10, 1, "base", "", math.nan, math.nan, "", records(0, "x")[0].scores,
                       0.0, 1.0, 0.0, math.inf, 0.0)  # fmt: skip
    old = replace(new, n_initial=5, scores=without_later(new.scores))
    settings = config(tmp_path)
    header, first, second = update_table("run", settings, [old, new]).splitlines()
    alone = update_table("run", settings, [old]).splitlines()
    count = len(LATER_METRICS)
    assert header.split(",")[-count:] == list(LATER_METRICS)
    assert alone == [",".join(line.split(",")[:-count]) for line in (header, first)]
    assert first.split(",")[-count:] == ["nan"] * count
    assert "nan" not in second.split(",")[-count:]


@pytest.fixture(scope="module")
def resumed(tmp_path_factory):
    """A run, and the same run of which the first cycles were done before."""
    folder = tmp_path_factory.mktemp("resumed")
    small = ["dataset=digits", "backbone=pixels", "n_initial=10", "n_cycles=3", "subset=60",
             "batch.size=3", "training.epochs=3", "progress=false"]  # fmt: skip
    whole = alupdate.run([*small, f"results_dir={folder}"])
    before = (whole.path / "curve.csv").read_bytes()
    store = RunStore(whole.config)
    steps = json.loads((whole.path / "state.json").read_text())["steps"][:2]
    steps = [step | {"scores": without_later(step["scores"])} for step in steps]
    with store.locked():
        store.begin({"device": "cpu"})
        store.save(steps, run_tables(store.name, whole.config, False, steps))
        store.set_state("interrupted")
    first = (whole.path / "curve.csv").read_bytes()
    again = alupdate.run([*small, f"results_dir={folder}"])
    return before, first, again


def test_a_resumed_run_has_the_metric_from_then_on(resumed):
    before, first, again = resumed
    assert first.splitlines()[0].decode().split(",") == BEFORE
    whole = [line.split(",") for line in before.decode().splitlines()]
    found = [line.split(",") for line in (again.path / "curve.csv").read_text().splitlines()]
    count = len(LATER_METRICS)
    assert [row[:-count] for row in found] == [row[:-count] for row in whole]
    assert [row[-count:] for row in found[1:3]] == [["nan"] * count] * 2
    assert [row[-count:] for row in (found[0], *found[3:])] == [
        row[-count:] for row in (whole[0], *whole[3:])
    ]
    assert RunStore(again.config).is_complete()


def test_a_resumed_run_is_read_tracked_and_shown(resumed, capsys):
    *_, again = resumed
    assert again.curve[LAST].isna().tolist() == [True, True, False, False]
    steps = json.loads((again.path / "state.json").read_text())["steps"]
    assert [LAST in point.values for point in points_of(steps)] == [False, False, True, True]
    assert run_command(["tables", str(again.path), "--metric", LAST]) == 0
    captured = capsys.readouterr()
    assert "lacks it at 2 of 4 cycles, and is not compared as a whole" in captured.err
    assert "area under" not in captured.out
    assert "### Test metrics at the last number of labels" in captured.out
    assert run_command(["figures", str(again.path), "--metric", LAST, "--only", "curves-*"]) == 0
    assert run_command(["report", str(again.path)]) == 0


def test_an_undefined_value_survives_the_state(tmp_path):
    kept = [replace(r, scores=r.scores | {LAST: math.nan}) for r in records(0, "x", cycles=1)]
    path = write_run(tmp_path / "undefined", done=kept)
    assert (path / "curve.csv").read_text().endswith(",nan\n")
    assert read_results(path).curves[LAST].isna().all()
    (step,) = json.loads((path / "state.json").read_text())["steps"]
    (point,) = points_of([step])
    assert LAST not in point.values


def gapped(metric, strategy="margin", seed=1):
    """Curves of which one run lacks a metric at its second cycle."""
    table = random_curves(strategies=("random", "margin"))
    chosen = (table["strategy"] == strategy) & (table["seed"] == seed) & (table["cycle"] == 1)
    return table.assign(**{metric: table[metric].mask(chosen)})


def by_name(table, metric):
    found = result_tables(analysis_input(Results("x", curves=table), metric))
    return {made.name: made.frame for made in found}


@pytest.mark.parametrize("metric", [LAST, "nll"])
@pytest.mark.parametrize("strategy", ["margin", "random"])
def test_a_run_with_a_gap_is_compared_with_nothing(strategy, metric):
    """All tables over whole curves are those without the run."""
    table = gapped(metric, strategy)
    rest = table[(table["strategy"] != strategy) | (table["seed"] != 1)]
    found, expected = by_name(table, metric), by_name(rest, metric)
    assert found.keys() == expected.keys()
    for name in found.keys() - {"final", f"penalty-{metric}"}:
        pd.testing.assert_frame_equal(found[name], expected[name])
    areas = found[f"areas-{metric}"].set_index("variant")["seeds"]
    assert areas.to_dict() == {"random": 7, "margin": 7} | {strategy: 6}


def test_runs_that_all_have_gaps_leave_their_learning_curves():
    """And what is compared cycle by cycle, which is as without that cycle."""
    table = random_curves()
    gaps = table.assign(**{LAST: table[LAST].where(table["cycle"] != 1)})
    found, rest = by_name(gaps, LAST), by_name(table[table["cycle"] != 1], LAST)
    assert set(found) == {"final", f"penalty-{LAST}"}
    for name, frame in found.items():
        pd.testing.assert_frame_equal(frame, rest[name])
    figures = result_figures(analysis_input(Results("x", curves=gaps), LAST))
    assert [figure.name for figure in figures] == [
        f"curves-d-b-{LAST}", f"difference-d-b-{LAST}", f"x-{LAST}-penalty",
    ]  # fmt: skip
    shown = figures[-1].draw().axes[0].get_yticklabels()
    assert {text.get_text() for text in shown} == set(named(table)["variant"])
    assert all(figure.draw().axes for figure in figures)


def test_a_mean_is_of_all_seeds_or_is_not_given():
    table = random_curves(strategies=("random", "margin"))
    at_end = (table["cycle"] == 5) & (table["seed"] == 2) & (table["strategy"] == "margin")
    final = by_name(table.assign(**{LAST: table[LAST].mask(at_end)}), "accuracy")["final"]
    assert final.set_index("variant")[LAST].isna().to_dict() == {"random": False, "margin": True}
    assert final[f"{LAST}_error"].isna().tolist() == final[LAST].isna().tolist()
    assert LAST not in by_name(table.assign(**{LAST: math.nan}), "accuracy")["final"]


def test_what_has_a_metric_and_what_has_not_are_gathered_together(tmp_path, capsys):
    folder = tmp_path / "both"
    edited(write_run(folder, seed=0), lambda table: table[BEFORE])
    new = write_run(folder, seed=1)
    target = tmp_path / "all.csv"
    assert run_command(["gather", str(folder), str(target)]) == 0
    gathered = read_results(target)
    lacking = gathered.curves.groupby("run")[LAST].apply(lambda values: values.isna().all())
    assert lacking.to_dict() == {name: name != new.name for name in lacking.index}
    assert run_command(["report", str(folder)]) == 0
    assert run_command(["tables", str(target), "--metric", LAST]) == 2
    assert "does not have it; it was made before the metric was added" in capsys.readouterr().err


def test_scores_of_a_campaign_that_began_before_are_kept(tmp_path):
    settings, (first, second, third) = config(tmp_path / "x"), records(0, "x")
    path = tmp_path / "progress.csv"
    path.write_text(tables("c", settings, False, [earlier(first), earlier(second)])["curve.csv"])
    path.write_text(with_row(path, "c", settings, third))
    expected = tables("c", settings, False, [earlier(first), earlier(second), third])["curve.csv"]
    assert path.read_text() == expected
