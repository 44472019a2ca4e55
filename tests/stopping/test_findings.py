"""What docs/findings/stopping.md says is what results/reference/stopping.csv holds."""

import re
from pathlib import Path

import pytest

from alupdate.analysis.catalogue import analysis_input, result_tables
from alupdate.analysis.render import markdown
from alupdate.analysis.stopping import LOST, stops_per_run, summarise_stops
from alupdate.results.reader import read_results

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "findings" / "stopping.md").read_text()
WORDS = " ".join(PAGE.split())
OF_PREDICTIONS = ["kappa", "classification_change", "overall_uncertainty"]


@pytest.fixture(scope="module")
def results():
    return read_results(ROOT / "results" / "reference" / "stopping.csv")


@pytest.fixture(scope="module")
def summary(results):
    return summarise_stops(stops_per_run(results.stopping)).set_index(
        ["dataset", "strategy", "rule"]
    )


def points(value):
    return f"{value:.3f}".lstrip("0")


def test_the_page_has_the_table(results):
    (table,) = result_tables(analysis_input(results))
    assert markdown(table) in PAGE
    assert (table.frame["seeds"] == 10).all()


def test_near_a_plateau_kappa_saves_half_of_the_labels(summary):
    digits = summary.loc["digits"]
    margin, herding = digits.loc["margin"], digits.loc["uherding"]
    saved = [f"{100 * frame.loc['kappa', 'saved']:.0f} %" for frame in (margin, herding)]
    labels = [int(frame.loc["kappa", "labels"]) for frame in (margin, herding)]
    assert (
        f"stops margin after {labels[0]} of 410 labels and uherding after {labels[1]}, which lose "
        f"{points(margin.loc['kappa', LOST])} and {points(herding.loc['kappa', LOST])} and save "
        f"{saved[0]} and {saved[1]}."
    ) in WORDS
    for rule in OF_PREDICTIONS[1:]:
        pair = [frame.loc[rule] for frame in (margin, herding)]
        after = " and ".join(f"{row['labels']:.0f}" for row in pair)
        assert re.search(
            rf"{rule}`\) (stops )?after {after}, and loses {points(pair[0][LOST])} and "
            rf"{points(pair[1][LOST])}",
            WORDS,
        )


def test_rules_of_predictions_do_not_stop_while_accuracy_rises(results, summary):
    rising = summary[summary.index.get_level_values("dataset") != "digits"]
    rules = rising.index.get_level_values("rule")
    assert (rising[rules.isin(OF_PREDICTIONS)]["stopped"] == 0).all()
    assert (rising[rules == "accuracy_plateau"][LOST] > 0).all()
    runs = results.stopping.query("rule == 'kappa' and dataset != 'digits'")
    assert runs["run"].nunique() == 90
    means = runs.groupby(["dataset", "strategy", "cycle"])["accuracy"].mean().unstack()
    gains = means[20] - means[15]
    assert f"rises by {points(gains.min())} to {points(gains.max())} over the last" in WORDS
    lost = summary.loc[("banking77", "margin", "accuracy_plateau"), LOST]
    assert f"it loses {points(lost)} for margin on banking77" in WORDS


def test_with_random_selection_they_hardly_work(summary):
    rules = summary.loc[("digits", "random")]
    stopped = rules.loc[["classification_change", "overall_uncertainty"], "stopped"]
    assert stopped.tolist() == [0.1, 0]


def test_left_out_accuracy_is_right_for_random_labels_only(results):
    rows = results.stopping.query("rule == 'accuracy_plateau'")
    last = rows[rows["cycle"] == rows.groupby("run")["cycle"].transform("max")]
    means = last.groupby(["dataset", "strategy"])[["value", "accuracy"]].mean()
    for dataset in ("banking77", "cifar10", "digits", "mnist5k"):
        here = means.loc[dataset]
        order = here.loc[["random", "margin", "uherding"]].to_numpy().ravel()
        assert f"| {dataset} | {' | '.join(map(points, order))} |" in PAGE
        gaps = here["accuracy"] - here["value"]
        assert abs(gaps["random"]) < 0.015
        assert (gaps[["margin", "uherding"]] > 0.09).all()
