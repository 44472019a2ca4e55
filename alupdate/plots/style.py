"""How every series looks: the same colour, marker and line for the same thing in every figure."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

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
    """Return the colour of a variant by its short name (``alupdate.statistics.variants.named``)."""
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
