"""Average ranks over blocks, with the tests of Demsar (2006)."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy import stats

from alupdate.analysis.seeds import MIN_PAIRS, wilcoxon
from alupdate.analysis.theme import SCREEN, Look, colour_of
from alupdate.utils.errors import InputError

ALPHA = 0.05
MIN_BLOCKS, MIN_VARIANTS = 6, 5
"""Below both of them the chi-square approximation of Friedman's test is poor (Demsar 2006)."""


@dataclass(frozen=True)
class Ranking:
    """Variants ranked in every block.

    Attributes:
        ranks: average rank of each variant, 1 the best; best first.
        blocks: number of blocks.
        friedman_p: of Friedman's test that all variants are alike; NaN for fewer than three
            variants or two blocks.
        pairwise: (V, V) p-values of Wilcoxon signed-rank tests over blocks, by Holm's correction;
            1 on the diagonal.
        note: what the numbers cannot show; empty if nothing.
    """

    ranks: "pd.Series[float]"
    blocks: int
    friedman_p: float
    pairwise: pd.DataFrame
    note: str


def rank(scores: pd.DataFrame, higher_is_better: bool = True) -> Ranking:
    """Rank variants (columns) in every block (row), ties sharing their mean rank.

    Blocks with a missing variant must be left out before. Demsar, "Statistical comparisons of
    classifiers over multiple data sets", JMLR 7 (2006), takes data sets as blocks; Benavoli et
    al. (JMLR 17, 2016) put Wilcoxon tests in place of the Nemenyi test.
    """
    signed = -scores if higher_is_better else scores
    ranks = signed.rank(axis=1).mean().sort_values(kind="stable")
    ordered = scores[ranks.index]
    blocks, variants = scores.shape
    enough = blocks >= 2 and variants >= 3 and not (signed.rank(axis=1).nunique(axis=1) == 1).all()
    friedman = float(stats.friedmanchisquare(*ordered.to_numpy().T).pvalue) if enough else np.nan
    return Ranking(ranks, blocks, friedman, _pairwise(ordered), _note(blocks, variants))


def _pairwise(scores: pd.DataFrame) -> pd.DataFrame:
    names = scores.columns
    first, second = np.triu_indices(len(names), k=1)
    values = scores.to_numpy()
    raw = [wilcoxon(values[:, i] - values[:, j]) for i, j in zip(first, second, strict=True)]
    corrected = holm(np.nan_to_num(np.array(raw), nan=1.0))
    matrix = np.eye(len(names))
    matrix[first, second] = matrix[second, first] = corrected
    return pd.DataFrame(matrix, index=names, columns=names)


def holm(p_values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return p-values (N,) corrected for N tests by Holm's step-down procedure (1979)."""
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
