"""What a question of the analysis reads, and the tables and figures that answer it."""

from collections.abc import Callable
from dataclasses import dataclass, field

import pandas as pd
from matplotlib.figure import Figure

from alupdate.analysis.styles import MethodStyles, VariantStyles
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
        benchmark: rows of scripts/benchmark.py.
        variants: styles of the strategies and updates in learning curves.
        methods: styles of the methods in ``updates``.
    """

    name: str = "all"
    metric: str = PRIMARY
    curves: pd.DataFrame | None = None
    aulc: pd.DataFrame | None = None
    updates: pd.DataFrame | None = None
    benchmark: pd.DataFrame | None = None
    variants: VariantStyles = field(default_factory=VariantStyles)
    methods: MethodStyles = field(default_factory=MethodStyles)

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


@dataclass(frozen=True)
class ResultTable:
    """A table of results.

    Attributes:
        name: of its files, without ending; letters, digits, dots, dashes and underscores.
        title: one line.
        caption: what the columns mean, and how the numbers were made; plain text.
        frame: the numbers, unrounded. Columns ``x``, ``x_error``, ``x_low`` and ``x_high`` belong
            together: a value, its standard error and its interval. A column ``note`` says what
            the row cannot show.
    """

    name: str
    title: str
    caption: str
    frame: pd.DataFrame


@dataclass(frozen=True)
class ResultFigure:
    """A figure of results.

    Attributes:
        name: of its files, without ending.
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
