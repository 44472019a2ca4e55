"""Sizes and fonts of figures: for the screen, and for the paper's pages."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

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


@dataclass(frozen=True)
class Look:
    """Where figures will be seen.

    Attributes:
        name: of the look.
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
        """Let what is drawn and saved inside have this look."""
        settings: Any = COMMON | self.settings  # matplotlib lists every name in its type
        with mpl.rc_context(settings):
            yield


SCREEN = Look("screen", width=10.0, single=6.8, panel=3.1, line=0.2, settings={"savefig.dpi": 150})
PAPER = Look(
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
    count: int, look: Look, columns: int = 3, height: float | None = None
) -> tuple[Figure, list[Axes]]:
    """Return a figure with ``count`` panels, at most ``columns`` beside each other.

    Args:
        count: of panels, at least one.
        look: its sizes.
        columns: most panels in a row.
        height: of a panel, in inches; None: the look's.
    """
    beside = min(columns, count)
    rows = -(-count // beside)
    width = look.single if beside == 1 else min(look.width, look.single * beside)
    size = (width, rows * (height or look.panel) + 2 * look.line)
    figure = Figure(figsize=size, layout="constrained")
    panels = list(figure.subplots(rows, beside, squeeze=False).ravel())
    for panel in panels[count:]:
        panel.set_axis_off()
    return figure, panels[:count]


def legend_below(figure: Figure, panels: Sequence[Axes], look: Look) -> None:
    """Put one legend for all panels below them, where it hides nothing, and make room for it."""
    entries: dict[str, Any] = {}
    for panel in panels:
        for handle, label in zip(*panel.get_legend_handles_labels(), strict=True):
            entries.setdefault(label, handle)
    if not entries:
        return
    longest = max(map(len, entries))
    entry = look.line * (0.39 * longest + 3.6)
    fits = int(figure.get_figwidth() / entry)
    columns = max(1, min(fits, len(entries)))
    rows = -(-len(entries) // columns)
    figure.set_figheight(figure.get_figheight() + rows * look.line)
    figure.legend(
        list(entries.values()), list(entries), loc="outside lower center", ncols=columns,
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
