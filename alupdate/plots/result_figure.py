"""A figure with its data."""

from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd
from matplotlib.figure import Figure


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
