"""Each figure is drawn from tables, shows the numbers beside it, and embeds its fonts."""

import io
import re
import zlib

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from alupdate.analysis.aulc import aulc_per_run
from alupdate.analysis.catalogue import analysis_input, result_figures
from alupdate.analysis.theme import PAPER, SCREEN
from alupdate.results.reader import Results
from tests.support.curve_tables import curves, random_curves, study

STRATEGIES = ("random", "margin", "entropy", "lookahead", "lookahead_10", "lookahead_300")


@pytest.fixture(scope="module")
def table():
    first = random_curves(0, STRATEGIES)
    sequential = random_curves(1, ("margin", "random")).assign(batch="sequential")
    sequential["run"] += "-sequential"
    second = random_curves(2).assign(dataset="e")
    second["run"] += "-e"
    return pd.concat([first, sequential, second], ignore_index=True)


def by_name(theme=SCREEN, metric="accuracy", **tables):
    given = analysis_input(Results("x", **tables), metric)
    return {figure.name: figure for figure in result_figures(given, theme)}


def test_curves_give_every_figure(table):
    figures = by_name(curves=table)
    assert set(figures) == {
        "curves-d-b", "curves-e-b", "difference-d-b", "difference-e-b", "x-penalty",
        "x-labels-saved", "x-areas", "x-batch-construction", "x-against-lookahead",
        "x-candidate-batches",
        "x-ranks-datasets", "x-ranks-d-b", "x-ranks-e-b",
    }  # fmt: skip
    for name, figure in figures.items():
        assert len(figure.frame), name
        assert figure.title
        assert figure.caption.endswith(".")


@pytest.mark.parametrize("theme", [SCREEN, PAPER], ids=lambda theme: theme.name)
def test_every_figure_of_curves_can_be_drawn(table, theme):
    for name, figure in by_name(theme, curves=table).items():
        with theme.applied():
            drawn = figure.draw()
        assert isinstance(drawn, Figure), name
        assert any(axes.has_data() for axes in drawn.axes), name
        if theme is PAPER:
            assert drawn.get_figwidth() <= 4.8, name


def test_updates_give_every_figure():
    figures = by_name(updates=study())
    assert set(figures) == {"x-d-b", "x-gap", "x-speedup"}
    many = pd.concat(
        [study()] + [study()[study()["gamma"] == 1].assign(gamma=g) for g in (0.1, 0.3, 3, 30)]
    )
    assert "x-gamma" in by_name(updates=many)
    for figure in (*figures.values(), by_name(updates=many)["x-gamma"]):
        assert any(axes.has_data() for axes in figure.draw().axes)


def test_areas_alone_give_figures_of_areas(table):
    names = set(by_name(areas=aulc_per_run(table)))
    assert "x-areas" in names
    assert "x-ranks-datasets" in names
    assert not any(name.startswith("curves") for name in names)


def test_one_strategy_and_one_seed_give_its_curve():
    figures = by_name(curves=curves({"margin": [[0.1, 0.2]]}))
    assert set(figures) == {"curves-d-b"}
    (axes,) = figures["curves-d-b"].draw().axes
    assert axes.get_title() == "d, b (one seed)"


def test_another_metric_is_in_the_name(table):
    names = set(by_name(curves=table, metric="nll"))
    assert {"curves-d-b-nll", "x-nll-penalty", "x-nll-areas"} <= names


def test_lines_are_the_means_of_the_frame(table):
    figure = by_name(curves=table)["curves-d-b"]
    (axes,) = figure.draw().axes
    lines = {line.get_label(): line for line in axes.get_lines()}
    for name, rows in figure.frame.groupby("variant"):
        np.testing.assert_allclose(lines[name].get_ydata(), rows["mean"])
    assert lines["lookahead (oracle)"].is_dashed()
    assert not lines["random"].is_dashed()


def test_ranks_are_named_with_their_means(table):
    figure = by_name(curves=table)["x-ranks-d-b"]
    said = {text.get_text() for panel in figure.draw().axes for text in panel.texts}
    expected = [(row["variant"], f"({row['mean_rank']:.2f})") for _, row in figure.frame.iterrows()]
    assert len(said) == len(expected)
    assert all(f"{name} {mean}" in said or f"{mean} {name}" in said for name, mean in expected)


def test_the_legend_is_outside_of_the_panels(table):
    with SCREEN.applied():
        drawn = by_name(curves=table)["curves-d-b"].draw()
        drawn.savefig(io.BytesIO())
    (legend,) = drawn.legends
    box = legend.get_window_extent()
    assert not any(box.overlaps(axes.get_tightbbox()) for axes in drawn.axes)
    assert drawn.bbox.x0 <= box.x0 <= box.x1 <= drawn.bbox.x1


def test_paper_embeds_truetype_fonts(table, tmp_path):
    figure = by_name(PAPER, curves=table)["curves-d-b"]
    with PAPER.applied():
        figure.draw().savefig(tmp_path / "f.pdf")
    content = (tmp_path / "f.pdf").read_bytes()
    streams = re.findall(rb"stream\r?\n(.*?)\r?\nendstream", content, flags=re.DOTALL)
    text = content + b"".join(inflated(stream) for stream in streams)
    assert b"/Type3" not in text
    assert b"/FontFile2" in text
    assert re.search(rb"STIX|Times", text)


def inflated(stream):
    try:
        return zlib.decompress(stream)
    except zlib.error:
        return b""


def test_random_selection_alone_has_no_differences():
    assert set(by_name(curves=curves({"random": [[0.1, 0.2], [0.2, 0.3]]}))) == {"curves-d-b"}


def test_figures_of_very_many_variants_show_the_best_and_random_and_say_so():
    """Thirty of 70 are worse than all others; random is the worst of them."""
    rises = np.linspace(0.3, 0.1, 70)
    heights = {
        f"s{place:02d}" if place < 69 else "random": [
            [0.1, 0.1 + rise + 0.001 * seed, 0.1 + 2 * rise] for seed in range(3)
        ]
        for place, rise in enumerate(rises)
    }
    figures = by_name(curves=curves(heights))
    best = {f"s{place:02d}" for place in range(40)}
    for name, others in {"curves-d-b": {"random"}, "difference-d-b": set()}.items():
        drawn = figures[name].draw()
        assert set(drawn.axes[0].get_legend_handles_labels()[1]) == best | others
        assert len(set(figures[name].frame["variant"])) == 69 + len(others)
    said = "41 of 70 variants, the best by AULC and random selection"
    for name in ("x-penalty", "x-ranks-d-b", "x-labels-saved", "x-areas"):
        assert said in figures[name].caption
        drawn = figures[name].draw()
        assert drawn.get_suptitle() == said
        texts = " ".join(text.get_text() for text in drawn.findobj(Text))
        written = set(re.findall(r"\bs\d\d\b", texts))
        assert written == best, name
    means = figures["x-penalty"].frame.drop(columns="variant").mean()
    lowest = figures["x-penalty"].draw().axes[1].get_images()[0].get_array()
    np.testing.assert_allclose(lowest[0], means[[*sorted(best), "random"]], rtol=1e-12)


def test_figures_of_forty_variants_show_all_without_a_word():
    heights = {f"s{place:02d}": [[0.1, 0.2 + place / 100]] for place in range(40)}
    figure = by_name(curves=curves(heights))["curves-d-b"]
    assert "variants" not in figure.caption
    assert len(figure.draw().axes[0].get_legend_handles_labels()[1]) == 40
