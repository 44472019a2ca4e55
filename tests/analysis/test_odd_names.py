"""Labels that look like other names, and runs that lack a metric: no numbers are mixed."""

import io

import numpy as np
import pandas as pd
import pytest
from matplotlib.text import Text

from alupdate.analysis.aulc import aulc_with_seconds
from alupdate.analysis.catalogue import analysis_input, result_figures, result_tables
from alupdate.analysis.citation import citation_table, p_of_gaps
from alupdate.analysis.labels_saved import draw_labels_saved, labels_saved, summarise_saved
from alupdate.analysis.render import cells, csv, latex, markdown
from alupdate.analysis.seeds import difference_of
from alupdate.analysis.styles import VariantStyles
from alupdate.analysis.theme import interval_lines
from alupdate.analysis.variants import named
from alupdate.results.reader import Results
from tests.support.curve_tables import curves

RISES = {"random": [[0.2, 0.3, 0.4]] * 3, "margin": [[0.2, 0.4, 0.6]] * 3}


def tables_of(table):
    return {found.name: found for found in result_tables(analysis_input(Results("x", table)))}


def test_a_label_that_is_the_short_name_of_another_variant_is_told_apart():
    """A strategy called "margin, sequential" is not margin in sequential batches."""
    table = curves(
        RISES
        | {("margin", "sequential"): [[0.2, 0.1, 0.1]] * 3, "margin, sequential": [[0.9] * 3] * 3}
    )
    assert named(table).groupby("variant")["run"].nunique().tolist() == [3] * 4
    found = tables_of(table)
    names = ["[margin] [sequential] [retrain]", "[margin, sequential] [top_b] [retrain]"]
    final = found["final"].frame.set_index("variant")["accuracy"]
    assert final[names].tolist() == pytest.approx([0.1, 0.9])
    assert final[["margin", "random"]].tolist() == pytest.approx([0.6, 0.4])
    penalty = found["penalty-accuracy"].frame.set_index("variant")
    assert penalty.loc[names[1], names[0]] == 1


@pytest.mark.parametrize("ending", ["error", "low", "high", "mark", "holm_p"])
def test_a_variant_may_be_called_like_the_error_of_another(ending):
    """In a matrix the columns are variants: none is taken for a part of another one's value."""
    table = curves(RISES | {f"margin_{ending}": [[0.2, 0.3, 0.5]] * 3})
    for found in tables_of(table).values():
        headings, rows = cells(found.frame)
        assert all(len(row) == len(headings) for row in rows)
        for text in (markdown(found), latex(found), csv(found)):
            assert text
        if found.name.startswith(("penalty", "wilcoxon")):
            assert len(headings) == 4, found.name
            assert "±" not in markdown(found)


def test_a_metric_that_runs_with_an_update_lack_leaves_the_others_in_every_figure():
    whole = curves(RISES)
    partly = whole.assign(update="map", run=whole["run"] + "-map")
    partly["confidence_auroc"] = partly["confidence_auroc"].mask(partly["cycle"] == 2)
    table = pd.concat([whole, partly], ignore_index=True)
    given = analysis_input(Results("x", table), "confidence_auroc")
    drawn = {figure.name: figure.draw() for figure in result_figures(given)}
    upper = drawn["x-confidence_auroc-penalty"].axes[0]
    names = {label.get_text() for label in upper.get_yticklabels()}
    assert names == {f"{s}, {u}" for s in ("random", "margin") for u in ("retrain", "map")}
    cited = citation_table(given, Results("x", table)).frame
    assert cited["labels"].tolist() == ["10 to 30"] * 2


def test_what_is_never_reached_has_crosses_where_nothing_is():
    table = curves({"random": [[0.2, 0.5, 0.8]], "margin": [[0.2, 0.1, 0.1]]})
    summary = summarise_saved(labels_saved(table))
    assert summary["saved"].tolist() == [-np.inf] * 4
    (panel,) = draw_labels_saved(summary, "accuracy", VariantStyles.of(table)).axes
    crosses = [line for line in panel.get_lines() if line.get_marker() == "x"]
    assert np.isfinite(crosses[0].get_ydata()).all()


def test_areas_of_data_sets_with_unequal_cycles_are_all_kept():
    table = pd.concat([curves(RISES, "d"), curves({"random": [[0.1, 0.2]] * 2}, "e")])
    timings = table[["run", "cycle"]].assign(phase="select", seconds=1.0)
    found = aulc_with_seconds(table, timings)
    assert found["dataset"].value_counts().to_dict() == {"d": 6, "e": 2}


def test_differences_that_are_equal_but_for_rounding_are_equal(recwarn):
    """Areas of .3 - .1 and .2 differ in the last digit, and in nothing else."""
    pairs = np.array([[0.3, 0.1], [0.2, 0.0], [0.7, 0.5]])
    found = difference_of(pairs)
    assert np.ptp(pairs[:, 0] - pairs[:, 1]) > 0
    assert found.mean.low == found.mean.high == pytest.approx(0.2)
    assert np.isnan(found.t_p)
    assert p_of_gaps(pairs[:, 0] - pairs[:, 1]) == 0
    assert p_of_gaps(np.array([0.3 - 0.1 - 0.2, 0.0])) == 1
    assert not recwarn.list


def test_seeds_with_equal_areas_are_drawn():
    """Three times .4 have a mean that is not .4, and matplotlib takes no negative lengths."""
    table = curves({"random": [[0.4] * 3] * 3, "margin": [[0.7] * 3] * 3})
    drawn = {f.name: f.draw() for f in result_figures(analysis_input(Results("x", table)))}
    assert "x-areas" in drawn
    assert interval_lines(0.1 + 0.2, 0.3, 0.3).ravel().tolist() == pytest.approx([0, 0], abs=1e-15)
    assert (interval_lines(0.1 + 0.2, 0.3, 0.3) >= 0).all()


@pytest.mark.parametrize("length", [60, 190])
def test_long_names_are_inside_of_figures(length):
    """The settings that tell runs apart stand behind a strategy's name, and may be many."""
    name = ("margin (batch.size=10, n_cycles=3, subset=1000) " * 4)[:length].strip()
    table = curves({"random": [[0.2, 0.3, 0.4]] * 3, name: [[0.2, 0.4, 0.6]] * 3})
    for figure in result_figures(analysis_input(Results("x", table))):
        drawn = figure.draw()
        drawn.savefig(io.BytesIO(), dpi=30)
        width, height = drawn.get_size_inches() * drawn.dpi
        for text in drawn.findobj(Text):
            if "margin" in text.get_text():
                box = text.get_window_extent()
                assert box.x0 > -1, (figure.name, text)
                assert box.y0 > -1, (figure.name, text)
                assert box.x1 < width + 1, (figure.name, text)
                assert box.y1 < height + 1, (figure.name, text)
