"""What a question of the analysis reads, and the tables and figures that answer it."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial

import pandas as pd
from matplotlib.figure import Figure

from alupdate.analysis.styles import MethodStyles, VariantStyles
from alupdate.analysis.variants import METHOD, named
from alupdate.utils.files import distinct_name
from alupdate.utils.metrics import PRIMARY, find_metric

INTERVAL = "95 % intervals are BCa bootstraps of the mean over seeds"
TESTS = f"{INTERVAL}; t_p: paired t-test, wilcoxon_p: Wilcoxon signed-rank test, both two-sided"
"""How the tables of differences were made, for their captions."""
INTERVAL_LINES = "lines are 95 % bootstrap intervals over seeds"
"""What figures of differences show, for their captions."""


@dataclass(frozen=True, eq=False)
class AnalysisInput:
    """Tables of an experiment, and by what to compare; None where there is nothing of a kind.

    Attributes:
        name: of the experiment; names of figures that compare its runs begin with it.
        metric: a column of curve.csv, by which strategies are compared.
        curves: rows in the form of curve.csv, of the finished runs.
        aulc: one row per run: variant, seed and ``area``, its AULC by the metric.
        updates: rows in the form of updates.csv.
        stopping: rows in the form of stopping.csv.
        benchmark: rows of scripts/benchmark.py.
        forecasts: rows in the form of forecast.csv.
        variants: styles of the strategies and updates in learning curves.
        methods: styles of the methods in ``updates``.
        chosen: the variants that figures show, by the columns METHOD; None: all.
        costs: rows in the form of costs.csv, of runs that have them.
        reference: the short name of the variant against which seeds are counted; None: the best.
    """

    name: str = "all"
    metric: str = PRIMARY
    curves: pd.DataFrame | None = None
    aulc: pd.DataFrame | None = None
    updates: pd.DataFrame | None = None
    stopping: pd.DataFrame | None = None
    benchmark: pd.DataFrame | None = None
    forecasts: pd.DataFrame | None = None
    variants: VariantStyles = field(default_factory=VariantStyles)
    methods: MethodStyles = field(default_factory=MethodStyles)
    chosen: pd.DataFrame | None = None
    costs: pd.DataFrame | None = None
    reference: str | None = None

    @property
    def label(self) -> str:
        """The metric in words."""
        return find_metric(self.metric).label

    @property
    def ending(self) -> str:
        """What names of figures end in: the metric, unless it is the one by default."""
        return "" if self.metric == PRIMARY else f"-{self.metric}"

    @property
    def prefix(self) -> str:
        """What names of figures that compare strategies begin with."""
        return self.name + self.ending

    @property
    def note(self) -> str:
        """What figures leave out; empty if nothing."""
        if self.chosen is None or self.aulc is None:
            return ""
        count = len(self.aulc[METHOD].drop_duplicates())
        baseline = " and random selection" if "random" in set(self.chosen["strategy"]) else ""
        return f"{len(self.chosen)} of {count} variants, the best by AULC{baseline}"

    def drawn(self, table: pd.DataFrame) -> pd.DataFrame:
        """Return the rows of the variants that figures show, of a table with columns METHOD."""
        if self.chosen is None:
            return table
        columns = [column for column in METHOD if column in table]
        chosen = pd.MultiIndex.from_frame(self.chosen[columns])
        return table[pd.MultiIndex.from_frame(table[columns]).isin(chosen)]

    def drawn_names(self, table: pd.DataFrame) -> set[str]:
        """Return the short names, within a table, of its variants that figures show."""
        return set(self.drawn(named(table))["variant"])


@dataclass(frozen=True)
class ResultTable:
    """A table of results.

    Attributes:
        name: of its files, without ending; what a file name should not have is replaced.
        title: one line.
        caption: what the columns mean, and how the numbers were made; plain text.
        frame: the numbers, unrounded. Columns ``x``, ``x_error``, ``x_low``, ``x_high``,
            ``x_mark`` and ``x_holm_p`` belong together: a value, its standard error, its interval,
            and how it compares with the best one. A column ``note`` says what
            the row cannot show.
    """

    name: str
    title: str
    caption: str
    frame: pd.DataFrame

    def __post_init__(self) -> None:
        """Make the name that of a file: labels of data sets are part of it."""
        object.__setattr__(self, "name", distinct_name(self.name))


@dataclass(frozen=True)
class ResultFigure:
    """A figure of results.

    Attributes:
        name: of its files, without ending; what a file name should not have is replaced.
        title: one line.
        caption: what one sees; plain text.
        frame: the numbers behind it.
        draw: draws it; to be called, and its answer saved, inside ``Theme.applied``.
    """

    name: str
    title: str
    caption: str
    frame: pd.DataFrame
    draw: Callable[[], Figure]

    def __post_init__(self) -> None:
        """Make the name that of a file: labels of data sets are part of it."""
        object.__setattr__(self, "name", distinct_name(self.name))

    def with_note(self, note: str) -> "ResultFigure":
        """Return the figure with a note above it and at the end of its caption."""
        caption = f"{self.caption} Shown: {note}; the numbers behind it are of all."
        return replace(self, caption=caption, draw=partial(_draw_with_note, self.draw, note))


def _draw_with_note(draw: Callable[[], Figure], note: str) -> Figure:
    figure = draw()
    figure.suptitle(note, size="medium")
    return figure
