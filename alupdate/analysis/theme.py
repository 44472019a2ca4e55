"""Sizes and fonts of figures: for the screen, and for the paper's pages."""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
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


PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#999999")
"""Okabe and Ito's colours, distinguishable with any colour vision and in print."""
BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY, BLACK, GREY = PALETTE

Marker = str | tuple[int, int, int]
STRATEGIES: Mapping[str, tuple[str, Marker]] = {
    "random": (BLACK, "o"),
    "margin": (BLUE, "s"),
    "entropy": (SKY, "^"),
    "least_confidence": (SKY, "v"),
    "variance": (GREY, "X"),
    "bald": (PURPLE, "D"),
    "batch_bald": (PURPLE, "d"),
    "badge": (ORANGE, "P"),
    "bait": (GREEN, "<"),
    "bait_binary": (GREEN, ">"),
    "coreset": (GREY, (4, 1, 0)),  # a star of four points
    "typiclust": (ORANGE, "p"),
    "probcover": (SKY, "h"),
    "expected_lookahead": (BLUE, "*"),
    "lookahead": (VERMILLION, "o"),
    "greedy_lookahead": (PURPLE, "s"),
}
"""Colour and marker. No two share a marker, but the oracles, whose lines are dashed, with others:
so all of them are told apart in grey too."""

MARKERS: tuple[Marker, ...] = (
    "o", "s", "^", "v", "X", "D", "d", "P", "<", ">", "h", "p", "*", (4, 1, 0), (6, 1, 0)
)  # fmt: skip
DASHES: Mapping[str, Any] = {
    "retrain": "-",
    "second_order": (0, (4, 1.2, 1, 1.2, 1, 1.2)),
    "map": (0, (1, 1)),
    "first_order": (0, (6, 2)),
    "monte_carlo": (0, (2, 2)),
}
ORACLE, SEQUENTIAL = (0, (4, 2)), (0, (5, 1.5, 1, 1.5))

UPDATES = {
    "base": (GREY, "x"),
    "retrain": (BLACK, "o"),
    "retrain_lbfgs": ("#7F7F7F", "."),
    "map": (BLUE, "s"),
    "second_order": (VERMILLION, "^"),
    "first_order": (GREEN, "v"),
    "monte_carlo": (PURPLE, "D"),
}
"""Colour and marker of each way of learning from new labels."""


@dataclass(frozen=True)
class Style:
    """One series: colour, marker, line, and whether its markers are hollow."""

    colour: str
    marker: Marker
    line: Any
    hollow: bool = False

    def keywords(self) -> dict[str, Any]:
        """Return the keywords of ``Axes.plot``."""
        return {
            "color": self.colour,
            "marker": self.marker,
            "linestyle": self.line,
            "markerfacecolor": "white" if self.hollow else self.colour,
            "markeredgecolor": self.colour,
        }


def style_of(row: "Mapping[str, Any] | pd.Series[Any]") -> Style:
    """Return the style of a variant: a row with strategy, batch, update and oracle.

    Colour and marker say the strategy; hollow markers a sequential batch; the line whether it is
    an oracle (dashed), sequential (dash-dotted), or learns by an update in place of retraining.
    A strategy that is not in the table gets a colour and a marker that depend on its name only.
    """
    colour, marker = STRATEGIES.get(row["strategy"]) or _any_style(str(row["strategy"]))
    sequential = row["batch"] == "sequential"
    line = DASHES.get(row["update"], ":")
    if row["update"] == "retrain" and sequential:
        line = SEQUENTIAL
    return Style(colour, marker, ORACLE if row["oracle"] else line, hollow=sequential)


def colour_of(variant: str) -> str:
    """Return the colour of a variant by its short name (``alupdate.analysis.variants.named``)."""
    strategy = variant.split(",", maxsplit=1)[0].removesuffix(" (oracle)")
    return (STRATEGIES.get(strategy) or _any_style(strategy))[0]


def _any_style(name: str) -> tuple[str, Marker]:
    """Return a pair of colour and marker that no known strategy has, by a hash of the name."""
    free = [
        (colour, marker)
        for colour in PALETTE
        for marker in MARKERS
        if (colour, marker) not in STRATEGIES.values()
    ]
    return free[int.from_bytes(hashlib.sha256(name.encode()).digest()[:4]) % len(free)]


def dot_panels(table: pd.DataFrame, look: Look, label: str, level: str = "") -> Figure:
    """Draw values with intervals, the largest on top of each panel.

    Args:
        table: dataset, backbone, variant, strategy, batch, update, oracle, value, low, high (NaN
            where there is no interval), seeds.
        look: sizes and fonts.
        label: of the horizontal axis.
        level: a variant whose value gets a vertical line; empty: zero gets it.
    """
    settings = list(table.groupby(["dataset", "backbone"], sort=True))
    rows = max(len(group) for _, group in settings)
    columns = 3 if look.name == "screen" else 2
    figure, panels = grid(len(settings), look, columns, height=look.line * (1.05 * rows + 3.2))
    if len(settings) > 2 and look.name == "screen":
        figure.set_figwidth(1.3 * look.width)  # the names need their room
    for panel, ((dataset, backbone), group) in zip(panels, settings, strict=True):
        _rows(panel, group.sort_values("value", kind="stable"))
        panel.set_ylim(len(group) - rows - 0.6, len(group) - 0.4)
        if not level:
            panel.axvline(0, color="black", lw=0.8)
        for value in group.loc[group["variant"] == level, "value"]:
            panel.axvline(value, color="#666666", lw=0.8, ls=":")
        panel.set_title(f"{dataset}, {backbone}\n{_seeds(group['seeds'])}")
    figure.supxlabel(label, size="medium")
    return figure


def _rows(panel: Axes, group: pd.DataFrame) -> None:
    for place, (_, row) in enumerate(group.iterrows()):
        style = style_of(row)
        low, high = row["value"] - row["low"], row["high"] - row["value"]
        panel.errorbar(
            row["value"],
            place,
            xerr=None if np.isnan(low) else [[low], [high]],
            marker=style.marker,
            color=style.colour,
            markerfacecolor="white" if style.hollow else style.colour,
            elinewidth=1.0,
        )
    panel.set_yticks(range(len(group)), group["variant"].tolist(), size="small")
    panel.grid(axis="y", visible=False)
    panel.locator_params(axis="x", nbins=4)


def _seeds(counts: "pd.Series[int]") -> str:
    least, most = counts.min(), counts.max()
    return f"{most} seeds" if least == most else f"{least} to {most} seeds"


@dataclass(frozen=True)
class ResultFigure:
    """A figure with its data.

    Attributes:
        name: of its files, without ending.
        title: one line.
        caption: what one sees; plain text.
        frame: the numbers behind it.
        draw: draws it; call it and save its answer inside ``Look.applied``.
    """

    name: str
    title: str
    caption: str
    frame: pd.DataFrame
    draw: Callable[[], Figure]
