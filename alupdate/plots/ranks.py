"""The critical-difference diagram of average ranks."""

from matplotlib.figure import Figure

from alupdate.errors import InputError
from alupdate.plots.look import SCREEN, Look
from alupdate.plots.style import colour_of
from alupdate.statistics.ranks import ALPHA, Ranking


def critical_difference(ranking: Ranking, title: str, look: Look = SCREEN) -> Figure:
    """Draw average ranks on a line; bars join variants of which no pair differs significantly.

    The pairwise test is Wilcoxon's signed-rank test with Holm's correction (Demsar 2006; Benavoli
    et al. 2016). Drawn by scikit-posthocs.

    Raises:
        InputError: scikit-posthocs is not installed.
    """
    try:
        from scikit_posthocs import critical_difference_diagram
    except ImportError as error:
        message = "the critical-difference diagram needs: pip install 'alupdate[stats]'"
        raise InputError(message) from error
    count = len(ranking.ranks)
    height = look.line * (1.0 * count + 7)
    figure = Figure(figsize=(look.width, height), layout="constrained")
    axes = figure.subplots()
    critical_difference_diagram(
        dict(ranking.ranks),
        ranking.pairwise,
        alpha=ALPHA,
        ax=axes,
        label_fmt_left="{label} ({rank:.2f})",
        label_fmt_right="({rank:.2f}) {label}",
        label_props={"size": "small"},
        color_palette={name: colour_of(str(name)) for name in ranking.ranks.index},
        crossbar_props={"color": "black", "linewidth": 2.0, "marker": None},
        elbow_props={"linewidth": 1.0},
    )
    axes.grid(visible=False)
    heading = f"average rank, {title}\nn = {ranking.blocks}; Friedman p = {ranking.friedman_p:.1e}"
    axes.set_title("\n".join([heading, *filter(None, ranking.note.split("; "))]), size="medium")
    return figure
