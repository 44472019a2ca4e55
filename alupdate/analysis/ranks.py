"""Which strategies rank best over data sets or seeds, and do any two differ significantly?"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy import stats

from alupdate.analysis.question import AnalysisInput, ResultFigure, ResultTable
from alupdate.analysis.seeds import MIN_PAIRS, wilcoxon_tests
from alupdate.analysis.theme import SCREEN, Theme, in_lines
from alupdate.analysis.variants import SETTING, named
from alupdate.utils.errors import InputError
from alupdate.utils.metrics import higher_is_better

ALPHA = 0.05
MIN_BLOCKS, MIN_VARIANTS = 6, 5
"""Below both of them the chi-square approximation of Friedman's test is poor [Demsar2006]."""


@dataclass(frozen=True)
class Ranking:
    """Variants ranked in every block.

    Attributes:
        ranks: average rank of each variant, 1 the best; best first.
        blocks: number of blocks.
        friedman_p: of Friedman's test [Friedman1937] that all variants are alike; NaN for fewer
            than three variants or two blocks.
        pairwise: (V, V) p-values of Wilcoxon signed-rank tests over blocks, by Holm's correction;
            1 on the diagonal.
        note: what the numbers cannot show; empty if nothing.
    """

    ranks: "pd.Series[float]"
    blocks: int
    friedman_p: float
    pairwise: pd.DataFrame
    note: str

    def of(self, variants: set[str]) -> "Ranking":
        """Return the ranks and tests of some variants, as they are among all."""
        kept = self.ranks.index[self.ranks.index.isin(variants)]
        return replace(self, ranks=self.ranks[kept], pairwise=self.pairwise.loc[kept, kept])


def rank(scores: pd.DataFrame, better_if_higher: bool = True) -> Ranking:
    """Rank variants (columns) in every block (row), ties sharing their mean rank.

    Data sets are the blocks in [Demsar2006]; Wilcoxon tests in place of the Nemenyi test are
    those of [Benavoli2016].

    Args:
        scores: (blocks, variants), without gaps.
        better_if_higher: whether the largest score has rank 1.

    Example:
        >>> scores = pd.DataFrame({"random": [0.5, 0.6, 0.4], "margin": [0.7, 0.8, 0.3]})
        >>> rank(scores).ranks.round(2).to_dict()
        {'margin': 1.33, 'random': 1.67}
    """
    signed = -scores if better_if_higher else scores
    ranks = signed.rank(axis=1).mean().sort_values(kind="stable")
    ordered = scores[ranks.index]
    blocks, variants = scores.shape
    enough = blocks >= 2 and variants >= 3 and not (signed.rank(axis=1).nunique(axis=1) == 1).all()
    friedman = float(stats.friedmanchisquare(*ordered.to_numpy().T).pvalue) if enough else np.nan
    return Ranking(ranks, blocks, friedman, _pairwise(ordered), _note(blocks, variants))


def _pairwise(scores: pd.DataFrame) -> pd.DataFrame:
    names = scores.columns
    first, second = np.triu_indices(len(names), k=1)
    values = scores.to_numpy().T
    raw = wilcoxon_tests(values[first] - values[second])
    corrected = holm(np.nan_to_num(raw, nan=1.0))
    matrix = np.eye(len(names))
    matrix[first, second] = matrix[second, first] = corrected
    return pd.DataFrame(matrix, index=names, columns=names)


def holm(p_values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return p-values (N,) corrected for N tests by Holm's step-down procedure [Holm1979].

    Example:
        >>> holm(np.array([0.01, 0.04, 0.03])).tolist()
        [0.03, 0.06, 0.06]
    """
    order = np.argsort(p_values)
    steps = np.arange(len(p_values), 0, -1)
    corrected = np.empty_like(p_values)
    corrected[order] = np.minimum(np.maximum.accumulate(steps * p_values[order]), 1.0)
    return corrected


def _note(blocks: int, variants: int) -> str:
    smallest = 2.0 ** (1 - blocks) * variants * (variants - 1) / 2
    notes = []
    if blocks < MIN_BLOCKS and variants < MIN_VARIANTS:
        notes.append("too few for Friedman's test")
    if blocks < MIN_PAIRS or smallest > ALPHA:
        notes.append(
            f"no pair can differ at {ALPHA:g}: the smallest corrected p of {blocks} blocks and "
            f"{variants} variants is {min(smallest, 1.0):.2g}"
        )
    return "; ".join(notes)


def _sentence(note: str) -> str:
    """Return a note as the sentence that follows others."""
    return f" {note[0].upper()}{note[1:]}." if note else ""


def rankings(aulc: pd.DataFrame, metric: str) -> Iterator[tuple[str, str, str, Ranking]]:
    """Yield name, title, what the blocks are, and the ranking.

    First across settings, each a block with the mean over its seeds [Demsar2006], for the
    variants that all settings have; then within each setting, seeds as blocks.

    Args:
        aulc: from ``alupdate.analysis.aulc.aulc_per_run``.
        metric: whose curve it is.
    """
    better = higher_is_better(metric)
    table = named(aulc)
    wide = table.pivot_table(index=SETTING, columns="variant", values="area")
    means = _complete(wide)
    if min(means.shape) > 1:
        blocks = f"{len(means)} data sets (with their backbone), each with its mean over seeds"
        gaps = [str(name) for name in wide.columns.difference(means.columns)]
        gaps += [str(setting[0]) for setting in wide.index.difference(means.index)]
        if gaps:
            blocks += f"; left out, as not everything was run: {', '.join(gaps)}"
        yield "datasets", "data sets as blocks", blocks, rank(means, better)
    for (dataset, backbone), group in table.groupby(SETTING):
        wide = group.pivot_table(index="seed", columns="variant", values="area")
        common = _complete(wide)
        if min(common.shape) > 1:
            blocks = f"the {len(common)} seeds that all of these variants have"
            title = f"{dataset}, {backbone}: seeds as blocks"
            yield f"{dataset}-{backbone}", title, blocks, rank(common, better)


def _complete(wide: pd.DataFrame) -> pd.DataFrame:
    """Return blocks and variants without gaps, as many entries as there can be.

    Either all variants with a gap go, or all blocks with one, or first those blocks that have
    less than half the variants, which would cost the others too much, and then one of the two.
    """
    most = wide[wide.notna().sum(axis=1) >= wide.shape[1] / 2]
    most = most.loc[:, most.notna().sum() >= len(most) / 2]
    choices = [table.dropna(axis=axis) for table in (wide, most) for axis in (1, 0)]
    return max(choices, key=lambda table: (min(table.shape) > 1, table.size, len(table)))


def critical_difference(
    ranking: Ranking, title: str, colours: Mapping[str, str], theme: Theme = SCREEN
) -> Figure:
    """Draw average ranks on a line; bars join variants of which no pair differs significantly.

    The pairwise test is Wilcoxon's signed-rank test with Holm's correction [Demsar2006]
    [Benavoli2016]. Drawn by scikit-posthocs.

    Args:
        ranking: from ``rank``.
        title: what the blocks are.
        colours: of the variants, by their short names.
        theme: sizes and fonts.

    Raises:
        InputError: scikit-posthocs is not installed.
    """
    try:
        from scikit_posthocs import critical_difference_diagram
    except ImportError as error:
        message = "the critical-difference diagram needs: pip install 'alupdate[stats]'"
        raise InputError(message) from error
    names = list(map(str, ranking.ranks.index))
    places = range(len(names))  # not the names: the order of bars would be that of a set of texts
    height = theme.line * (1.0 * len(names) + 7)
    figure = Figure(figsize=(theme.width, height), layout="constrained")
    axes = figure.subplots()
    critical_difference_diagram(
        dict(zip(places, ranking.ranks, strict=True)),
        pd.DataFrame(ranking.pairwise.to_numpy(), index=places, columns=places),
        alpha=ALPHA,
        ax=axes,
        label_fmt_left="{label}",
        label_fmt_right="{label}",
        label_props={"size": "small"},
        color_palette={place: colours[name] for place, name in enumerate(names)},
        crossbar_props={"color": "black", "linewidth": 2.0, "marker": None},
        elbow_props={"linewidth": 1.0},
    )
    _name_labels(axes, ranking.ranks)
    axes.grid(visible=False)
    heading = f"average rank, {title}\nn = {ranking.blocks}; Friedman p = {ranking.friedman_p:.1e}"
    axes.set_title("\n".join([heading, *filter(None, ranking.note.split("; "))]), size="medium")
    return figure


def _name_labels(axes: Axes, ranks: "pd.Series[float]") -> None:
    """Put names and average ranks in place of the labels, which are places in ``ranks``."""
    for text in axes.texts:
        place = int(text.get_text())
        name, mean = in_lines(str(ranks.index[place])), f"({ranks.iloc[place]:.2f})"
        text.set_text(
            f"{name} {mean}" if text.get_horizontalalignment() == "right" else f"{mean} {name}"
        )


def rank_tables(given: AnalysisInput) -> Iterator[ResultTable]:
    """Yield average ranks and corrected pairwise tests; blocks are data sets, then seeds."""
    if given.aulc is None:
        return
    for name, title, blocks, ranking in rankings(given.aulc, given.metric):
        frame = pd.DataFrame(
            {"variant": ranking.ranks.index, "mean_rank": ranking.ranks.to_numpy()}
        ).assign(blocks=ranking.blocks, friedman_p=ranking.friedman_p, note=ranking.note)
        yield ResultTable(
            f"ranks-{name}-{given.metric}",
            f"Average ranks, {title}",
            f"Ranks (1 the best) by AULC (area under the learning curve) of {given.label}, "
            f"averaged over blocks; the blocks are {blocks}. friedman_p: Friedman's test that all "
            "are alike.",
            frame,
        )
        pairwise = ranking.pairwise.reset_index(names="variant")
        yield ResultTable(
            f"wilcoxon-{name}-{given.metric}",
            f"Pairwise tests, {title}",
            "p-values of Wilcoxon signed-rank tests over blocks, corrected by Holm for all pairs; "
            f"the blocks are {blocks}." + _sentence(ranking.note),
            pairwise,
        )


def rank_figures(given: AnalysisInput, theme: Theme) -> Iterator[ResultFigure]:
    """Yield a critical-difference diagram for three variants or more."""
    if given.aulc is None:
        return
    firsts = named(given.aulc).drop_duplicates("variant")
    colours = {row["variant"]: given.variants.style(row).colour for _, row in firsts.iterrows()}
    drawn = given.drawn_names(given.aulc)
    for name, title, blocks, ranking in rankings(given.aulc, given.metric):
        if len(ranking.ranks) < 3:
            continue
        yield ResultFigure(
            f"{given.prefix}-ranks-{name}",
            f"Average ranks, {title}",
            f"Average rank by AULC (area under the learning curve) of {given.label}, 1 the best; "
            f"blocks are {blocks}. Bars join variants of which no pair differs (Wilcoxon "
            "signed-rank, Holm, .05)." + _sentence(ranking.note),
            ranking.ranks.rename_axis("variant").reset_index(name="mean_rank"),
            partial(critical_difference, ranking.of(drawn), title, colours, theme),
        )
