"""A table with a name, and what it says."""

from dataclasses import dataclass

import pandas as pd


@dataclass(frozen=True)
class ResultTable:
    """One table of results.

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
