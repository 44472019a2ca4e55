"""Colours, markers and lines of strategies and updates, the same in every figure of an experiment.

Well-known names have fixed styles. Any other name gets the colour and the marker that fewest names
of the experiment have, in a fixed order, so that nothing is left out for want of a style.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import cycle
from typing import Any

import pandas as pd

from alupdate.laplace.names import FIRST_ORDER, MAP, MONTE_CARLO, SECOND_ORDER

PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#999999")
"""Okabe and Ito's colours, distinguishable with any colour vision and in print."""
BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY, BLACK, GREY = PALETTE

Marker = str | tuple[int, int, int]
Line = Any
"""A line of matplotlib: a name such as "--", or (offset, lengths of dashes and gaps)."""
Mark = tuple[str, Marker]
"""Colour and marker."""
STRATEGIES: Mapping[str, Mark] = {
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
    "maxherding": (GREEN, (3, 1, 0)),
    "uherding": (VERMILLION, (6, 1, 0)),
    "tcm": (BLACK, "H"),
    "dropquery": (SKY, (3, 1, 60)),  # stars that stand on their head
    "alfamix": (ORANGE, (4, 1, 45)),
    "refine": (GREY, (5, 1, 36)),
    "epig": (PURPLE, (8, 1, 0)),
    "parbals": (PURPLE, "8"),
    "expected_lookahead": (BLUE, "*"),
    "lookahead": (VERMILLION, "o"),
    "greedy_lookahead": (PURPLE, "s"),
    "ensemble_lookahead": (GREEN, "^"),
    "boss": (BLACK, "D"),
}
"""Colour and marker. No two share a marker, but the oracles, whose lines are dashed, with others:
so all of them are told apart in grey too."""
METHODS: Mapping[str, Mark] = {
    "base": (GREY, "x"),
    "retrain": (BLACK, "o"),
    "retrain_lbfgs": ("#7F7F7F", "."),
    FIRST_ORDER: (GREEN, "v"),
    MONTE_CARLO: (PURPLE, "D"),
    SECOND_ORDER: (VERMILLION, "^"),
    MAP: (BLUE, "s"),
}
"""Colour and marker of each way of learning from new labels, in the order of legends."""
MARKERS: tuple[Marker, ...] = (
    "o", "s", "^", "v", "X", "D", "d", "P", "<", ">", "h", "p", "*", (4, 1, 0), (6, 1, 0)
)  # fmt: skip
"""Of names without a fixed style, in the order in which they are taken."""
REFERENCE_LINES: Mapping[str, Line] = {"base": ":", "retrain": "--", "retrain_lbfgs": "--"}
"""Lines of what updates are compared with; theirs are solid."""
UPDATE_LINES: Mapping[str, Line] = {
    "retrain": "-",
    SECOND_ORDER: (0, (4, 1.2, 1, 1.2, 1, 1.2)),
    MAP: (0, (1, 1)),
    FIRST_ORDER: (0, (6, 2)),
    MONTE_CARLO: (0, (2, 2)),
}
"""Lines of learning curves, by what a run learns with between two trainings."""
SPARE_LINES: tuple[Line, ...] = (
    ":", (0, (8, 2, 2, 2)), (0, (3, 3, 1, 3)), (0, (8, 1.2, 1, 1.2, 1, 1.2, 1, 1.2)), (0, (1, 4))
)  # fmt: skip
"""Of updates without a fixed line, in the order in which they are taken."""
ORACLE, SEQUENTIAL = (0, (4, 2)), (0, (5, 1.5, 1, 1.5))


@dataclass(frozen=True)
class Style:
    """One series: colour, marker, line, and whether its markers are hollow."""

    colour: str
    marker: Marker
    line: Line
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


def marks_of(names: Iterable[str], known: Mapping[str, Mark]) -> dict[str, Mark]:
    """Return colour and marker of each name.

    A name that is not known gets the colour that fewest of the names have, and of the markers that
    fewest have in that colour the one that fewest have at all; the first in the order of
    ``PALETTE`` and ``MARKERS`` among equals. No two names share both until there are more names
    than pairs.

    Args:
        names: without doubles; the unknown ones choose in this order.
        known: fixed styles.

    Example:
        >>> marks_of(["random", "mine", "yours"], {"random": ("#000000", "o")})
        {'random': ('#000000', 'o'), 'mine': ('#0072B2', 's'), 'yours': ('#D55E00', '^')}
    """
    names = list(names)
    found = {name: known[name] for name in names if name in known}
    for name in names:
        if name not in found:
            found[name] = _least_used(found.values())
    return {name: found[name] for name in names}


def _least_used(marks: Iterable[Mark]) -> Mark:
    pairs = Counter(marks)
    colours, markers = Counter[str](), Counter[Marker]()
    for (colour, marker), count in pairs.items():
        colours[colour] += count
        markers[marker] += count
    colour = min(PALETTE, key=colours.__getitem__)
    return colour, min(MARKERS, key=lambda marker: (pairs[colour, marker], markers[marker]))


def lines_of(updates: Iterable[str]) -> dict[str, Line]:
    """Return the line of each update's learning curves; unknown ones take spare lines in turn."""
    names = list(updates)
    unknown = [name for name in names if name not in UPDATE_LINES]
    spare = dict(zip(unknown, cycle(SPARE_LINES), strict=False))
    return {name: UPDATE_LINES.get(name) or spare[name] for name in names}


@dataclass(frozen=True)
class VariantStyles:
    """Styles of the variants of an experiment's learning curves.

    Attributes:
        marks: strategy to colour and marker.
        lines: update to line.
    """

    marks: Mapping[str, Mark] = field(default_factory=dict)
    lines: Mapping[str, Line] = field(default_factory=dict)

    @classmethod
    def of(cls, table: pd.DataFrame) -> "VariantStyles":
        """Return the styles of all strategies and updates of a table with these columns."""
        strategies, updates = (_names(table[column]) for column in ("strategy", "update"))
        return cls(marks_of(strategies, STRATEGIES), lines_of(updates))

    def style(self, row: "Mapping[str, Any] | pd.Series[Any]") -> Style:
        """Return the style of a variant: a row with strategy, batch, update and oracle.

        Colour and marker say the strategy; hollow markers a batch that is not picked at once; the
        line whether it is an oracle (dashed), such a batch (dash-dotted), or learns by an update in
        place of retraining.
        """
        colour, marker = _mark(str(row["strategy"]), self.marks, STRATEGIES)
        constructed = row["batch"] != "top_b"
        update = str(row["update"])
        line = SEQUENTIAL if update == "retrain" and constructed else self._line(update)
        return Style(colour, marker, ORACLE if row["oracle"] else line, hollow=constructed)

    def _line(self, update: str) -> Line:
        return self.lines.get(update) or lines_of([*self.lines, update])[update]


@dataclass(frozen=True)
class MethodStyles:
    """Styles of the ways of learning from new labels that an experiment compares.

    Attributes:
        marks: method to colour and marker, in the order of legends.
    """

    marks: Mapping[str, Mark] = field(default_factory=dict)

    @classmethod
    def of(cls, table: pd.DataFrame) -> "MethodStyles":
        """Return the styles of all methods of a table with this column."""
        present = _names(table["method"])
        names = [name for name in METHODS if name in present]
        names += [name for name in present if name not in METHODS]
        return cls(marks_of(names, METHODS))

    def style(self, method: str, automatic: bool = False) -> Style:
        """Return the style of a method; hollow where its step size was chosen automatically."""
        colour, marker = _mark(method, self.marks, METHODS)
        return Style(colour, marker, REFERENCE_LINES.get(method, "-"), hollow=automatic)

    def place(self, method: str) -> int:
        """Return the place of a method in legends."""
        return list(self.marks).index(method) if method in self.marks else len(self.marks)


def _names(column: "pd.Series[Any]") -> list[str]:
    return sorted(column.astype(str).unique())


def _mark(name: str, marks: Mapping[str, Mark], known: Mapping[str, Mark]) -> Mark:
    """Return the mark of a name; one that is not in the experiment chooses after all others."""
    return marks.get(name) or marks_of([*marks, name], {**known, **marks})[name]
