"""What a task hands back for people to look at."""

from dataclasses import dataclass

from matplotlib.figure import Figure


@dataclass(frozen=True)
class Outcome:
    """A small table and a picture of a finished run.

    Attributes:
        columns: headings.
        rows: cells as text.
        figure: saved beside the main CSV file, under its name.
    """

    columns: list[str]
    rows: list[list[str]]
    figure: Figure
