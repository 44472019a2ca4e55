"""Themes of figures, for the screen and for a paper's pages, and the layout of their panels."""

import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import FixedFormatter, FuncFormatter
from numpy.typing import ArrayLike, NDArray

from alupdate.analysis.styles import VariantStyles
from alupdate.analysis.variants import SETTING

COMMON: dict[str, Any] = {
    "axes.grid": True,
    "grid.alpha": 0.3,
    "grid.linewidth": 0.5,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "pdf.fonttype": 42,  # TrueType, which publishers ask for, in place of Type 3
    "ps.fonttype": 42,
    "svg.hashsalt": "alupdate",
}
"""Matplotlib's settings in every theme."""
LONGEST_TITLE = 100
"""Characters of a line of a panel's title."""
LONGEST_LINE, LINE_OF_LONG = 70, 40
"""Characters of a name in one line, and those of a line of a longer one."""


@dataclass(frozen=True)
class Theme:
    """Sizes and fonts of figures.

    Attributes:
        name: of the theme.
        width: of a figure with several columns of panels, in inches.
        single: width of a figure with one panel.
        panel: height of a panel, in inches.
        line: height of a line of text, in inches.
        settings: matplotlib's, beyond the common ones.
    """

    name: str
    width: float
    single: float
    panel: float
    line: float
    settings: dict[str, Any] = field(default_factory=dict)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Give this theme to what is drawn and saved inside."""
        settings: Any = COMMON | self.settings  # matplotlib lists every name in its type
        with mpl.rc_context(settings):
            yield


SCREEN = Theme("screen", width=10.0, single=6.8, panel=3.1, line=0.2, settings={"savefig.dpi": 150})
PAPER = Theme(
    "paper",
    width=4.8,
    single=4.8,
    panel=1.7,
    line=0.14,
    settings={
        "savefig.dpi": 300,
        "font.family": "serif",
        "font.serif": ["STIXGeneral", "Times New Roman", "DejaVu Serif"],
        "mathtext.fontset": "stix",
        "font.size": 8.0,
        "axes.titlesize": 8.0,
        "axes.labelsize": 8.0,
        "xtick.labelsize": 7.0,
        "ytick.labelsize": 7.0,
        "legend.fontsize": 7.0,
        "figure.titlesize": 8.0,
        "lines.linewidth": 1.0,
        "lines.markersize": 3.4,
        "lines.markeredgewidth": 0.6,
        "axes.linewidth": 0.6,
    },
)
"""The text width of Springer's LNCS, 12.2 cm, with serif letters of 8 pt."""


def grid(
    count: int, theme: Theme, columns: int = 3, height: float | None = None
) -> tuple[Figure, list[Axes]]:
    """Return a figure with ``count`` panels in rows of equal length, if that is possible.

    Args:
        count: of panels, at least one.
        theme: sizes and fonts.
        columns: most panels in a row.
        height: of a panel, in inches; None: the theme's.
    """
    rows = -(-count // columns)
    beside = -(-count // rows)
    width = theme.single if beside == 1 else min(theme.width, theme.single * beside)
    size = (width, rows * (height or theme.panel) + 2 * theme.line)
    figure = Figure(figsize=size, layout="constrained")
    panels = list(figure.subplots(rows, beside, squeeze=False).ravel())
    for panel in panels[count:]:
        panel.set_axis_off()
    return figure, panels[:count]


def in_lines(name: str) -> str:
    """Return a name as it is, or in several lines where it would leave no room for a panel.

    Example:
        >>> in_lines("margin"), len(in_lines("margin " * 12).splitlines())
        ('margin', 3)
    """
    return name if len(name) <= LONGEST_LINE else textwrap.fill(name, LINE_OF_LONG)


def legend_below(figure: Figure, panels: Sequence[Axes], theme: Theme) -> None:
    """Put one legend for all panels below them, where it hides nothing, and make room for it."""
    entries: dict[str, Any] = {}
    for panel in panels:
        for handle, label in zip(*panel.get_legend_handles_labels(), strict=True):
            entries.setdefault(label, handle)
    if not entries:
        return
    names = [in_lines(name) for name in entries]
    longest = max(len(line) for name in names for line in name.split("\n"))
    entry = theme.line * (0.39 * longest + 3.6)
    fits = int(figure.get_figwidth() / entry)
    columns = max(1, min(fits, len(entries)))
    lines = [name.count("\n") + 1 for name in names]
    rows = int(max(part.sum() for part in np.array_split(lines, columns)))
    figure.set_figheight(figure.get_figheight() + rows * theme.line)
    figure.legend(
        list(entries.values()), names, loc="outside lower center", ncols=columns,
        handlelength=2.8, columnspacing=1.2,
    )  # fmt: skip


def fix_margins(figure: Figure) -> Figure:
    """Give a figure with one panel and one line of legend below it margins of known size.

    The constrained layout draws everything twice to measure it, half the time that the picture of
    a short run takes.
    """
    width, height = figure.get_size_inches()
    figure.set_layout_engine(None)
    figure.subplots_adjust(
        left=0.65 / width, right=1 - 0.15 / width, bottom=0.8 / height, top=1 - 0.35 / height
    )
    return figure


def plain_text(figure: Figure) -> Figure:
    """Let dollar signs in names stand as they are; matplotlib takes what is between for a formula.

    To be called when the figure is complete. Labels of logarithmic axes are matplotlib's formulas.
    Long lines of the titles of panels are broken.
    """
    for panel in figure.axes:
        lines = panel.get_title().split("\n")
        if max(map(len, lines)) > LONGEST_TITLE:
            panel.title.set_text("\n".join(map(in_lines, lines)))
    formulas = set[Text]()
    for axis in (axis for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)):
        labels = {t for tick in axis.get_major_ticks() for t in (tick.label1, tick.label2)}
        if isinstance(axis.get_major_formatter(), FixedFormatter | FuncFormatter):
            for label in labels:
                label.set_parse_math(False)
        else:
            formulas |= labels
    for text in figure.findobj(Text):
        if isinstance(text, Text) and "$" in text.get_text() and text not in formulas:
            text.set_parse_math(False)
    return figure


def dot_panels(
    table: pd.DataFrame, styles: VariantStyles, theme: Theme, label: str, level: str = ""
) -> Figure:
    """Draw values with intervals, the largest on top of each panel.

    Args:
        table: dataset, backbone, variant, strategy, batch, update, oracle, value, low, high (NaN
            where there is no interval), seeds.
        styles: of the variants.
        theme: sizes and fonts.
        label: of the horizontal axis.
        level: a variant whose value gets a vertical line; empty: zero gets it.
    """
    settings = list(table.groupby(SETTING, sort=True))
    rows = max(len(group) for _, group in settings)
    columns = 3 if theme.name == "screen" else 2
    lines = max(in_lines(name).count("\n") + 1 for name in table["variant"])
    titles = [in_lines(f"{dataset}, {backbone}") for (dataset, backbone), _ in settings]
    above = 1.2 * max(title.count("\n") for title in titles) + 3.2
    height = theme.line * (1.05 * rows * max(1.0, 0.75 * lines) + above)
    figure, panels = grid(len(settings), theme, columns, height)
    if len(settings) > 2 and theme.name == "screen":
        figure.set_figwidth(1.3 * theme.width)  # the names need their room
    for panel, title, (_, group) in zip(panels, titles, settings, strict=True):
        _dots(panel, group.sort_values("value", kind="stable"), styles)
        panel.set_ylim(len(group) - rows - 0.6, len(group) - 0.4)
        if not level:
            panel.axvline(0, color="black", lw=0.8)
        for value in group.loc[group["variant"] == level, "value"]:
            panel.axvline(value, color="#666666", lw=0.8, ls=":")
        panel.set_title(f"{title}\n{_seeds(group['seeds'])}")
    figure.supxlabel(label, size="medium")
    return figure


def interval_lines(value: ArrayLike, low: ArrayLike, high: ArrayLike) -> NDArray[np.float64]:
    """Return how far intervals reach below and above N values, (2, N); 0 where there are none.

    Rounding may put a value outside of its interval, and matplotlib takes no negative lengths.
    """
    ends = np.stack([np.subtract(value, low), np.subtract(high, value)]).reshape(2, -1)
    lengths: NDArray[np.float64] = np.maximum(np.nan_to_num(ends), 0.0)
    return lengths


def _dots(panel: Axes, group: pd.DataFrame, styles: VariantStyles) -> None:
    for place, (_, row) in enumerate(group.iterrows()):
        style = styles.style(row)
        panel.errorbar(
            row["value"],
            place,
            xerr=interval_lines(row["value"], row["low"], row["high"]),
            marker=style.marker,
            color=style.colour,
            markerfacecolor="white" if style.hollow else style.colour,
            elinewidth=1.0,
        )
    panel.set_yticks(range(len(group)), list(map(in_lines, group["variant"])), size="small")
    panel.grid(axis="y", visible=False)
    panel.locator_params(axis="x", nbins=4)


def _seeds(counts: "pd.Series[int]") -> str:
    least, most = counts.min(), counts.max()
    return f"{most} seeds" if least == most else f"{least} to {most} seeds"
