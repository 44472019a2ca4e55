"""The paper's numbers beside made-up results."""

import math

import numpy as np
import pandas as pd
import pytest

from alupdate.analysis.paper_check import paper_tables
from alupdate.analysis.paper_numbers import paper_numbers
from alupdate.analysis.paper_settings import update_outcomes
from alupdate.report.commands import run_command
from alupdate.results.reader import Results, Run
from alupdate.utils.errors import InputError
from tests.support.curve_tables import curves
from tests.support.experiments import write_paper_run, write_run

THIRDS: dict[tuple[str, str], list[float]] = {(n.dataset, n.method): [] for n in paper_numbers()}
for number in paper_numbers():
    THIRDS[number.dataset, number.method].append(number.accuracy)
SPREAD = np.array([-1, 1] * 5) * 0.01
"""Of ten seeds: their mean has this standard error."""
ERROR = 0.01 / 3


def runs(method="random", offset=0.0, seeds=10, label=None, **columns):
    """Curves of cifar10 in the paper's setting, ``offset`` above its numbers on average."""
    heights = np.repeat(THIRDS["cifar10", method], 7) + offset + SPREAD[:seeds, None]
    table = curves({label or method: heights.tolist()}, "cifar10")
    return table.assign(backbone="dinov2_vits14").assign(**columns)


def with_settings(table, **settings):
    """Results with the settings of all runs."""
    flat = {key.replace("__", "."): value for key, value in settings.items()}
    names = table["run"].unique()
    found = tuple(Run(n, "completed", "", "", flat, {}, "", "", {}) for n in names)
    return Results("x", curves=table, runs=found)


def compared(*tables, **settings):
    found = paper_tables(with_settings(pd.concat(tables), **settings))
    return {table.name: table for table in found}


def verdicts(tables, method):
    frame = tables["paper-numbers"].frame
    return frame.loc[frame["method"] == method, "verdict"].tolist()


@pytest.mark.parametrize(
    ("offset", "verdict"),
    [
        (0.0, "agrees"),
        (2 * ERROR + 0.0004, "agrees"),
        (-2 * ERROR - 0.0004, "agrees"),
        (2 * ERROR + 0.0006, "above"),
        (-2 * ERROR - 0.0006, "below"),
    ],
)
def test_a_verdict_allows_two_standard_errors_and_the_rounding(offset, verdict):
    assert verdicts(compared(runs(offset=offset)), "random") == [verdict] * 3


def test_a_row_has_theirs_ours_and_the_difference():
    row = compared(runs("boss", 0.03))["paper-numbers"].frame.query("method == 'boss'").iloc[1]
    assert row.drop(["ours", "ours_error", "difference"]).to_dict() == {
        "dataset": "cifar10", "method": "boss", "cell": "cycles 7-13", "variant": "boss",
        "theirs": 0.942, "seeds": 10, "verdict": "above", "note": "",
    }  # fmt: skip
    assert (row["ours"], row["ours_error"], row["difference"]) == pytest.approx(
        (0.972, ERROR, 0.03)
    )


def test_thirds_are_means_of_seven_cycles():
    table = runs()
    table.loc[table["cycle"] == 6, "accuracy"] += 0.07
    frame = compared(table)["paper-numbers"].frame
    assert frame["difference"].iloc[:3].tolist() == pytest.approx([0.01, 0, 0])


def test_too_few_seeds_give_no_verdict_but_numbers():
    frame = compared(runs(seeds=5, offset=0.1), runs("margin", seeds=1))["paper-numbers"].frame
    frame = frame.set_index("method")
    assert frame.loc["random", "verdict"].tolist() == ["too few seeds"] * 3
    assert frame.loc["random", "seeds"].tolist() == [5] * 3
    assert frame.loc["margin", "difference"].iloc[0] == pytest.approx(-0.01)
    assert math.isnan(frame.loc["margin", "ours_error"].iloc[0])


def test_strategies_without_runs_are_said_and_data_sets_too():
    tables = compared(runs("margin"))
    frame = tables["paper-numbers"].frame
    assert len(frame) == 24
    assert verdicts(tables, "boss") == ["not run"] * 3
    assert frame.query("method == 'boss'")["ours"].isna().all()
    assert tables["paper-numbers"].caption.endswith(
        "Without any run: snacks (curves), dtd (curves), cifar100 (curves), banking77 (updates)."
    )
    assert "paper-left-out" not in tables


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"dataset": "digits"}, "their curves are of cifar10, snacks, dtd, cifar100"),
        ({"dataset": "banking77"}, "their curves are of cifar10, snacks, dtd, cifar100"),
        ({"backbone": "resnet18"}, "backbone is resnet18; theirs is dinov2_vits14"),
        ({"strategy": "coreset"}, "they show no coreset"),
        ({"strategy": "bait"}, "theirs is the binary BAIT"),
        ({"batch": "sequential"}, "batch is sequential; theirs is top_b"),
        ({"update": "second_order"}, "update is second_order; theirs is retrain"),
        ({"dataset": "dtd"}, "10 to 210 labels in 20 cycles; theirs are 50 to 1050 in 20"),
    ],
)
def test_what_has_another_setting_is_left_out_with_the_reason(wrong, reason):
    table = runs("margin").assign(**wrong)
    table["run"] = "other-" + table["run"]
    left_out = compared(runs(), table)["paper-left-out"].frame
    assert left_out["rows"].tolist() == [10]
    assert left_out["reason"].item().startswith(reason)
    with pytest.raises(InputError, match=r"^x: no run has a setting .*numbers; " + reason[:20]):
        compared(table)


def test_other_sizes_are_left_out():
    table = runs("margin")
    short = table[table["cycle"] < 20]
    offset = table.assign(n_labelled=table["n_labelled"] + 5)
    holed = table[table["cycle"] != 3]
    for other, reason in ((short, "10 to 200"), (offset, "15 to 215"), (holed, "10 to 210")):
        left_out = compared(runs(), other)["paper-left-out"].frame
        assert left_out["reason"].item().startswith(reason)


@pytest.mark.parametrize(
    ("method", "settings", "reason"),
    [
        ("margin", {"subset": "null"}, "subset is null; needed: 1000"),
        ("margin", {"dataset__n_train": "500"}, "dataset.n_train is 500; needed: null"),
        ("margin", {"training__solver": "lbfgs"}, "training.solver is lbfgs; needed: recipe"),
        ("margin", {"training__weight_decay": "0.1"}, "is 0.1; needed: 0.0001 or 0.0005"),
        ("margin", {"posterior__predictive": "monte_carlo"}, "is monte_carlo; needed: map"),
        ("margin", {"backbone__model": "resnet18"}, "is resnet18; needed: vit_small_patch14_"),
        ("typiclust", {"strategy__n_neighbours": "3"}, "n_neighbours is 3; needed: 20"),
        ("dropquery", {"strategy__dropout": "0.1"}, "dropout is 0.1; needed: 0.75"),
        ("alfamix", {"strategy__epsilon": "0.9"}, "epsilon is 0.9; needed: 0.2"),
        ("bait_binary", {"strategy__regularisation": "9.0"}, "is 9.0; needed: 1.0"),
        ("random", {"backbone__weights": "random"}, "backbone.weights is random; theirs is pre"),
        ("boss", {"strategy__n_batches": "10"}, "strategy.n_batches is 10; needed: 100"),
        ("boss", {"strategy__largest_subset": "50"}, "largest_subset is 50; needed: 5000"),
        ("random", {"strategy__name": "bait", "strategy__fisher": "multiclass"}, "theirs is the"),
    ],
)
def test_settings_without_a_column_count(method, settings, reason):
    with pytest.raises(InputError, match=reason.replace("(", r"\(")):
        compared(runs(method), **settings)


def test_settings_that_make_no_difference_do_not_count():
    assert verdicts(compared(runs(), subset="null"), "random") == ["agrees"] * 3
    other = runs("margin", dataset="snacks").assign(n_labelled=lambda t: 2 * t["n_labelled"])
    frame = compared(other, subset="null")["paper-numbers"].frame
    assert set(frame["note"]) == {"their number of candidates is not known"}


def test_labels_do_not_hide_what_was_run():
    own = {"dataset__name": "cifar10", "backbone__name": "dinov2_vits14", "strategy__name": "bait",
           "strategy__fisher": "binary"}  # fmt: skip
    table = runs("bait_binary", label="mine", dataset="photos")
    frame = compared(table, **own)["paper-numbers"].frame
    ours = frame[frame["variant"] == "mine, photos"]
    assert ours["method"].tolist() == ["bait_binary"] * 3
    assert ours["verdict"].tolist() == ["agrees"] * 3
    relabelled = {"strategy__name": "random"}
    assert verdicts(compared(table, **own | relabelled), "bait_binary") == ["not run"] * 3


def test_weights_of_a_file_are_part_of_what_was_run():
    frame = compared(runs(), backbone__weights="dino.safetensors")["paper-numbers"].frame
    assert frame["variant"].iloc[0] == "random, dino.safetensors"


def test_a_weight_decay_of_either_study_is_theirs():
    for theirs in ("0.0001", "0.0005"):
        assert verdicts(compared(runs(), training__weight_decay=theirs), "random") == ["agrees"] * 3


def test_gathered_runs_say_that_settings_were_not_checked():
    line = "Settings that have no column were not checked"
    assert line in paper_tables(Results("x", curves=runs()))[0].caption
    assert line not in compared(runs())["paper-numbers"].caption


def test_variants_of_one_strategy_have_rows_of_their_own():
    both = [runs("margin", label=f"margin (posterior.prior_precision={p})") for p in (1, 2)]
    frame = compared(*both, strategy__name="margin")["paper-numbers"].frame
    assert frame.query("method == 'margin'")["seeds"].tolist() == [10] * 6
    again = runs("margin").assign(run=lambda table: "again-" + table["run"])
    with pytest.raises(InputError, match="is a second run of margin with seed 0"):
        compared(runs("margin"), again)


def update_rows(seeds=10, n_new=10, **columns):
    """Updates of banking77 exactly at the paper's numbers."""
    rows = [
        {
            "run": f"u-{seed}", "dataset": "banking77", "backbone": "bert", "seed": seed,
            "n_initial": n.n_initial, "n_new": n_new, "method": n.method,
            "likelihood": "gaussian" if "order" in n.method else "", "prior_precision": 1.0,
            "gamma": 10.0 if n.method == "second_order" else 0.01, "step_size": "fixed",
            "accuracy": n.accuracy + SPREAD[seed] / 10,
        }
        for n in paper_numbers() if n.dataset == "banking77" for seed in range(seeds)
    ]  # fmt: skip
    return pd.DataFrame(rows).assign(**columns)


def test_updates_are_compared_by_labels():
    rows = update_rows()
    rows.loc[rows["method"] == "first_order", "accuracy"] += 0.05
    rows.loc[rows["n_initial"] == 2000, "accuracy"] -= 0.2
    (table,) = paper_tables(Results("x", updates=rows))
    found = table.frame.set_index(["cell", "method"])["verdict"].to_dict()
    assert len(found) == 16
    for (cell, method), verdict in found.items():
        expected = "above" if method == "first_order" else "agrees"
        assert verdict == ("below" if cell == "2000 labels" else expected)
    notes = table.frame.set_index("variant")["note"]
    assert set(notes["first_order, gamma 0.01"]) == {"their step size is not known"}
    assert set(notes["second_order, gamma 10"]) == {""}


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"dataset": "trec"}, "their updates are of banking77"),
        ({"backbone": "minilm"}, "backbone is minilm; theirs is bert"),
        ({"method": "map"}, "they show no map"),
        ({"n_initial": 200}, "theirs are 10 new labels after 100, 500, 1000, 2000"),
        ({"n_new": 50}, "theirs are 10 new labels after 100, 500, 1000, 2000"),
        ({"likelihood": "per_class"}, "likelihood is per_class; theirs is gaussian"),
        ({"prior_precision": 0.3}, "prior_precision is 0.3; theirs is 1.0"),
        ({"gamma": 1.0}, "theirs is gamma 10"),
        ({"step_size": "auto"}, "theirs is gamma 10"),
    ],
)
def test_other_updates_are_left_out_with_the_reason(wrong, reason):
    rows = update_rows()
    other = rows[rows["method"] == "second_order"].assign(**wrong)
    tables = paper_tables(Results("x", updates=pd.concat([rows, other])))
    assert set(tables[0].frame["verdict"]) == {"agrees"}
    assert set(tables[1].frame["reason"]) == {reason}


def test_updates_of_a_part_of_the_data_are_left_out():
    rows = update_rows()
    names = rows["run"].unique()
    own = {"dataset.n_test": "100"}
    of_runs = tuple(Run(n, "completed", "", "", own, {}, "", "", {}) for n in names)
    with pytest.raises(InputError, match=r"dataset\.n_test is 100; needed: null"):
        paper_tables(Results("x", updates=rows, runs=of_runs))


@pytest.mark.parametrize(
    ("model", "compared_with"),
    [("bert-base-uncased", 16), ("/models/bert-base-uncased", 16), ("bert-large-uncased", 0)],
)
def test_a_model_in_a_folder_is_known_by_its_name(model, compared_with):
    rows = update_rows()
    of_runs = tuple(
        Run(n, "completed", "", "", {"backbone.model": model}, {}, "", "", {})
        for n in rows["run"].unique()
    )
    found = list(update_outcomes(rows, {run.name: run.settings for run in of_runs}))
    assert len({number for o in found for number in o.accuracies}) == compared_with


def test_results_of_another_kind_are_refused():
    with pytest.raises(InputError, match="neither learning curves nor updates"):
        paper_tables(Results("x"))


def test_the_command_writes_the_comparison_beside_the_tables(tmp_path, capsys):
    for seed in range(2):
        write_paper_run(tmp_path / "e", seed)
        write_paper_run(tmp_path / "e", seed, name="bait", fisher="binary")
        write_paper_run(tmp_path / "e", seed, name="coreset")
    assert run_command(["tables", str(tmp_path / "e"), "--expect", "paper"]) == 0
    shown = capsys.readouterr().out
    assert "### The paper's numbers\n" in shown
    assert "### AULC" in shown
    written = pd.read_csv(tmp_path / "e" / "tables" / "paper-numbers.csv")
    assert written.set_index("method").loc["bait_binary", "verdict"].tolist() == [
        "too few seeds"
    ] * 3  # fmt: skip
    left_out = pd.read_csv(tmp_path / "e" / "tables" / "paper-left-out.csv")
    assert left_out["reason"].tolist() == ["they show no coreset"]


def test_the_command_refuses_what_it_cannot_compare(tmp_path, capsys):
    write_run(tmp_path / "e")
    given = ["tables", str(tmp_path / "e"), "--expect"]
    for expect, line in (
        ("papers", "error: --expect: papers is not known; available: paper\n"),
        ("paper", "error: e: no run has a setting of the paper's numbers; their curves are of "
         "cifar10, snacks, dtd, cifar100\n"),
    ):  # fmt: skip
        assert run_command([*given, expect]) == 2
        assert capsys.readouterr() == ("", line)
    assert not (tmp_path / "e" / "tables").exists()
