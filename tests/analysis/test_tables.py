import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alupdate.analysis.aulc import aulc_per_run, summarise_aulc
from alupdate.analysis.candidates import by_candidate_batches
from alupdate.analysis.catalogue import analysis_input, result_tables
from alupdate.analysis.curves import difference_curves, mean_curves
from alupdate.analysis.question import ResultTable
from alupdate.analysis.render import LATEX, csv, escape, latex, markdown
from alupdate.results.reader import Results
from alupdate.utils.errors import InputError
from tests.support.curve_tables import curves, random_curves, study


def by_name(**tables):
    return {table.name: table for table in result_tables(analysis_input(Results("x", **tables)))}


def test_curves_give_every_table():
    other = random_curves(0, ("random",)).assign(dataset="e")
    sequential = random_curves(5, ("margin",)).assign(batch="sequential")
    table = pd.concat([random_curves(0), sequential, other])
    table["run"] += table["batch"] + table["dataset"]
    tables = by_name(curves=table)
    assert set(tables) == {
        "areas-accuracy", "sequential-accuracy", "lookahead-accuracy", "ranks-d-b-accuracy",
        "wilcoxon-d-b-accuracy", "final", "penalty-accuracy", "labels-saved-accuracy",
        "seeds-needed-accuracy",
    }  # fmt: skip
    areas = tables["areas-accuracy"].frame
    assert areas["dataset"].tolist() == ["d"] * 4 + ["e"]
    assert areas["variant"].iloc[0] == "lookahead (oracle)"
    assert areas["area"].iloc[:4].is_monotonic_decreasing
    assert areas.loc[areas["variant"] == "random", "minus_random"].isna().all()
    penalty = tables["penalty-accuracy"].frame
    assert penalty["variant"].iloc[-1] == "mean"
    assert not penalty.drop(columns="variant").isna().any(axis=None)


def test_updates_give_every_table():
    tables = by_name(updates=study())
    assert set(tables) == {"gap-closed", "speedup-n-initial", "speedup-n-new"}
    assert tables["gap-closed"].frame["note"].str.contains("too few for a claim").all()


def test_nothing_gives_no_table():
    assert by_name() == {}
    assert by_name(curves=pd.DataFrame()) == {}


def test_areas_alone_give_the_tables_of_areas():
    areas = aulc_per_run(random_curves())
    with_curves = by_name(curves=random_curves())
    for name, table in by_name(areas=areas).items():
        pd.testing.assert_frame_equal(table.frame, with_curves[name].frame)


def test_unfinished_runs_are_left_out():
    table = random_curves()
    cut = (table["strategy"] == "margin") & (table["seed"] == 3) & (table["cycle"] > 2)
    areas = by_name(curves=table[~cut])["areas-accuracy"].frame
    assert areas.set_index("variant")["seeds"].to_dict() == {
        "margin": 6, "random": 7, "lookahead (oracle)": 7
    }  # fmt: skip


def test_runs_that_cannot_be_told_apart_are_refused():
    twice = pd.concat([random_curves(), random_curves().assign(run="again")])
    with pytest.raises(InputError, match="differ only in settings"):
        by_name(curves=twice)


def test_few_seeds_are_said_in_every_table_that_compares():
    tables = by_name(curves=random_curves(n_seeds=3))
    for name in ("areas-accuracy", "final", "labels-saved-accuracy", "lookahead-accuracy"):
        assert tables[name].frame["note"].str.contains("too few").all(), name
    assert "too few" in tables["penalty-accuracy"].caption
    assert tables["ranks-d-b-accuracy"].frame["note"].str.contains("no pair can differ").all()


def test_data_sets_are_blocks_for_the_variants_that_all_have():
    parts = [random_curves(s).assign(dataset=str(s)) for s in range(3)]
    parts[2] = parts[2][parts[2]["strategy"] != "margin"]
    table = pd.concat(parts)
    table["run"] += table["dataset"]
    ranks = by_name(curves=table)["ranks-datasets-accuracy"]
    assert ranks.frame["variant"].tolist() == ["lookahead (oracle)", "random"]
    assert (ranks.frame["blocks"] == 3).all()
    assert "left out, as not everything was run: margin" in ranks.caption


def test_means_and_differences_of_known_curves():
    table = curves({"random": [[0.1, 0.2], [0.3, 0.4]], "margin": [[0.1, 0.6], [0.3, 0.6]]})
    means = mean_curves(table).set_index(["variant", "n_labelled"])
    assert means.loc[("random", 20), "mean"] == pytest.approx(0.3)
    assert means.loc[("random", 20), "standard_error"] == pytest.approx(0.1)
    gaps = difference_curves(table)
    assert gaps["variant"].unique().tolist() == ["margin"]
    assert gaps["mean"].tolist() == pytest.approx([0, 0.3])
    assert gaps["standard_error"].tolist() == pytest.approx([0, 0.1])
    assert difference_curves(curves({"margin": [[0.1, 0.2]]})).empty


def test_candidate_batches_are_read_from_the_labels():
    table = random_curves(strategies=("random", "lookahead_10", "lookahead_300", "lookaheadx"))
    found = by_candidate_batches(summarise_aulc(aulc_per_run(table)))
    assert found["n_batches"].tolist() == [10, 300]
    assert (found["base"] == "lookahead").all()
    assert by_candidate_batches(summarise_aulc(aulc_per_run(random_curves()))).empty


TABLE = ResultTable(
    "t",
    "50 % & more",
    "a_b",
    pd.DataFrame(
        {
            "name": ["a_b", "c|d"], "gain": [0.12345, np.nan], "gain_error": [0.01, np.nan],
            "gain_low": [0.1, np.nan], "gain_high": [0.2, np.nan], "t_p": [0.00012, 0.25],
            "seeds": [10, 1], "note": ["", "one seed"],
        }
    ),
)  # fmt: skip


def test_markdown():
    lines = markdown(TABLE).splitlines()
    assert lines[0] == "### 50 % & more"
    assert lines[2] == "| name | gain | t p | seeds | note |"
    assert lines[4] == "| a_b | 0.1235 ± 0.0100 [0.1000, 0.2000] | 1.2e-04 | 10 |  |"
    assert lines[5] == r"| c\|d |  | 0.250 | 1 | one seed |"
    assert lines[-1] == "a_b"


def test_what_is_never_reached_is_said_in_words():
    never = ResultTable("t", "", "", pd.DataFrame({"saved": [-np.inf, 1.5]}))
    assert "| never |" in markdown(never)
    assert "never" in latex(never)
    assert csv(never).splitlines()[1] == "-inf"


def test_latex():
    text = latex(TABLE)
    assert r"\caption{50 \% \& more. a\_b}" in text
    assert r"\begin{tabular}{lrrrl}" in text
    assert r"a\_b & 0.1235 $\pm$ 0.0100 [0.1000, 0.2000] & 1.2e-04 & 10 &  \\" in text
    for rule in (r"\toprule", r"\midrule", r"\bottomrule"):
        assert text.count(rule) == 1


@given(st.text(alphabet="ab" + "".join(LATEX), max_size=20))
def test_no_escaped_character_means_anything_to_latex(text):
    escaped = escape(text)
    for written in sorted(LATEX.values(), key=len, reverse=True):
        escaped = escaped.replace(written, "")
    assert set(escaped) <= {"a", "b"}


def test_csv_holds_the_numbers_unrounded():
    assert csv(TABLE).splitlines()[1] == "a_b,0.12345,0.01,0.1,0.2,0.00012,10,"
