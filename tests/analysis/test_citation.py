import re

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from alupdate.analysis.aulc import aulc_per_run
from alupdate.analysis.budget import budget_tables
from alupdate.analysis.catalogue import analysis_input
from alupdate.analysis.citation import citation_table, marks
from alupdate.analysis.ranks import holm
from alupdate.analysis.render import csv, latex, markdown
from alupdate.analysis.variants import named
from alupdate.results.reader import Results
from alupdate.utils.errors import InputError
from tests.support.curve_tables import curves, random_curves


def noisy(gap, n_seeds=8, seed=0):
    """Runs of a best strategy, one that is on average ``gap`` below, one far below, an oracle."""
    rng = np.random.default_rng(seed)
    base = rng.uniform(0.5, 0.6, size=(n_seeds, 3))
    noise = 0.01 * rng.normal(size=(n_seeds, 1))
    near = base - gap + noise - noise.mean()
    names = {"best_one": base, "near": near, "far": base - 0.2 + 0.01 * near}
    return curves({**{k: v.tolist() for k, v in names.items()}, "lookahead": (base + 0.3).tolist()})


def table_of(frame):
    results = Results("x", curves=frame)
    return citation_table(analysis_input(results), results)


def test_the_best_is_bold_and_what_is_not_told_apart_is_marked():
    text = markdown(table_of(noisy(0.001)))
    line = {row.split(" | ")[2]: row for row in text.splitlines() if row.startswith("| d ")}
    assert line["best_one"].count("**") == 4
    assert line["near"].count(" †") == 2
    assert not set("*†‡") & set(line["far"] + line["lookahead (oracle)"])
    assert "Oracles are not compared" in text
    assert "trapezoidal rule" in text


def test_p_values_are_those_of_paired_tests_with_holm():
    areas = named(aulc_per_run(noisy(0.001)))
    words, corrected = marks(areas, True)
    wide = areas.pivot_table(index="seed", columns="variant", values="area")
    raw = [stats.ttest_rel(wide[name], wide["best_one"]).pvalue for name in ("far", "near")]
    assert corrected[["far", "near"]].tolist() == pytest.approx(holm(np.array(raw)).tolist())
    assert words.to_dict() == {
        "best_one": "best", "near": "alike", "far": "apart", "lookahead (oracle)": "oracle"
    }  # fmt: skip


def test_few_seeds_are_not_tested():
    table = table_of(noisy(0.001, n_seeds=5))
    assert set(table.frame["AULC_mark"]) == {"best", "untested", "oracle"}
    assert "‡" in markdown(table)


def test_losses_are_better_if_lower():
    results = Results("x", curves=noisy(0.001))
    frame = citation_table(analysis_input(results, "nll"), results).frame
    assert frame["variant"].iloc[0] == "lookahead (oracle)"
    assert frame["AULC_mark"].iloc[1] == "best"
    assert frame["AULC"].is_monotonic_increasing


def test_latex_is_whole_and_escaped():
    text = latex(table_of(noisy(0.001)))
    assert r"\textbf{" in text
    assert r"best\_one" in text
    assert r"$^\dagger$" in text
    assert not re.search(r"(?<!\\)[_&%#](?=[a-z])", text.replace(" & ", " ").split("label{")[1])
    assert text.count("{") == text.count("}")
    rows = [line for line in text.splitlines() if line.endswith(r" \\")]
    assert {row.count(" & ") for row in rows} == {6}


def test_csv_has_marks_and_p_values_in_columns():
    header = csv(table_of(noisy(0.001))).splitlines()[0].split(",")
    assert header == [
        "dataset", "backbone", "variant", "AULC", "AULC_error", "AULC_mark", "AULC_holm_p",
        "final_accuracy", "final_accuracy_error", "final_accuracy_mark", "final_accuracy_holm_p",
        "labels", "seeds",
    ]  # fmt: skip


def with_seconds(table, seconds):
    phases = [
        {"run": run, "cycle": cycle, "phase": "select", "seconds": s * (1 + 9 * (cycle == 2))}
        for run, name in table.drop_duplicates("run")[["run", "strategy"]].itertuples(index=False)
        for cycle, s in enumerate([seconds[name]] * 3)
    ]
    return Results("x", curves=table, timings=pd.DataFrame(phases))


def test_the_best_within_a_budget_is_found():
    results = with_seconds(noisy(0.05), {"best_one": 2.0, "near": 1.0, "far": 0.1, "lookahead": 0})
    best, everything = budget_tables(analysis_input(results), results, 1.0)
    row = best.frame.iloc[0]
    assert (row["best_within"], row["best_at_any_price"]) == ("near", "best_one")
    assert (row["query_seconds"], row["its_seconds"]) == (1.0, 2.0)
    assert row["above"] == pytest.approx(0.05, abs=0.01)
    assert everything.frame.set_index("variant")["within"].to_dict() == {
        "best_one": "no", "near": "yes", "far": "yes", "lookahead (oracle)": "yes"
    }  # fmt: skip
    none, _ = budget_tables(analysis_input(results), results, 0.01)
    assert none.frame["note"].item() == "no strategy is within the budget"


def test_a_budget_needs_seconds():
    results = Results("x", curves=random_curves())
    with pytest.raises(InputError, match="--budget needs the seconds of queries"):
        list(budget_tables(analysis_input(results), results, 1.0))
