"""Files of results: tables as Markdown, LaTeX and CSV, figures as PNG and PDF with their data."""

import math
from pathlib import Path

import pandas as pd

from alupdate.analysis.citation import ALIKE, BEST, UNTESTED
from alupdate.analysis.question import ResultFigure, ResultTable
from alupdate.analysis.theme import Theme, plain_text
from alupdate.config.values import FORMULA
from alupdate.utils.display import printable
from alupdate.utils.files import replace_file

LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_",
    "{": r"\{", "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "±": r"$\pm$", "†": r"$^\dagger$", "‡": r"$^\ddagger$",
    "<": "$<$", ">": "$>$", "|": r"\textbar{}",
}  # fmt: skip
P_VALUE = ".1e"
BOLD = r"\textbf{{{}}}"
PARTS = ("error", "low", "high", "mark", "holm_p")
"""Endings of the names of columns that belong to the value of another one."""
SIGNS = {ALIKE: " †", UNTESTED: " ‡"}
"""What stands behind a value with a mark; the best one is bold."""
NEVER = "never"
"""What minus infinity means: of labels saved, where the accuracy is never reached."""


def write_table(table: ResultTable, folder: Path) -> None:
    """Write a table's .csv, .tex and .md."""
    for ending, text in (("csv", csv), ("tex", latex), ("md", markdown)):
        replace_file(folder / f"{table.name}.{ending}", text(table))


def write_figure(figure: ResultFigure, folder: Path, theme: Theme) -> None:
    """Draw a figure, and write its .png, its .pdf and the numbers behind it as .csv.

    Raises:
        InputError: a package that draws it is not installed.
    """
    with theme.applied():
        drawn = plain_text(figure.draw())
        for ending, metadata in (("png", {}), ("pdf", {"CreationDate": None})):
            drawn.savefig(folder / f"{figure.name}.{ending}", metadata=metadata)
    replace_file(folder / f"{figure.name}.csv", csv(figure))


def csv(result: ResultTable | ResultFigure) -> str:
    """Return the numbers with six significant digits, and no text that is a formula elsewhere."""
    frame = result.frame.copy()
    for name in frame.select_dtypes(["object", "string"]).columns:
        frame[name] = frame[name].map(lambda cell: f"'{cell}" if _is_formula(cell) else cell)
    return frame.to_csv(index=False, lineterminator="\n", float_format="%.6g")


def _is_formula(cell: object) -> bool:
    return isinstance(cell, str) and cell.startswith(FORMULA)


def markdown(table: ResultTable) -> str:
    """Return heading, table and caption."""
    names, rows = cells(table.frame)
    escaped = [[cell.replace("|", r"\|") for cell in line] for line in (names, *rows)]
    lines = [escaped[0], ["---"] * len(names), *_with_best(table.frame, escaped[1:], "**{}**")]
    text = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    title, caption = printable(table.title), printable(table.caption)
    return f"### {title}\n\n{text}\n\n{caption}\n"


def latex(table: ResultTable) -> str:
    r"""Return a table environment; the document needs ``\usepackage{booktabs}``."""
    names, rows = cells(table.frame)
    numeric = {str(c).replace("_", " ") for c in table.frame if _numeric(table.frame[c])}
    columns = "".join("r" if name in numeric else "l" for name in names)
    escaped = _with_best(table.frame, [[escape(cell) for cell in row] for row in rows], BOLD)
    lines = [" & ".join(row) + r" \\" for row in escaped]
    return "\n".join(
        [
            r"\begin{table}", r"\centering",
            rf"\caption{{{escape(table.title)}. {escape(table.caption)}}}",
            rf"\label{{tab:{table.name}}}",
            rf"\begin{{tabular}}{{{columns}}}", r"\toprule",
            " & ".join(map(escape, names)) + r" \\", r"\midrule", *lines, r"\bottomrule",
            r"\end{tabular}", r"\end{table}", "",
        ]
    )  # fmt: skip


def _with_best(frame: pd.DataFrame, rows: list[list[str]], style: str) -> list[list[str]]:
    """Return rows of escaped cells, with the values that are marked as the best ones in a style."""
    for place, name in enumerate(_shown(frame)):
        if f"{name}_mark" in _parts(frame):
            for row, mark in zip(rows, frame[f"{name}_mark"], strict=True):
                row[place] = style.format(row[place]) if mark == BEST else row[place]
    return rows


def escape(text: str) -> str:
    """Return text in which no character means anything to LaTeX."""
    return "".join(LATEX.get(character, character) for character in text)


def cells(frame: pd.DataFrame) -> tuple[list[str], list[list[str]]]:
    """Return headings and rows as text: errors, intervals and marks stand with their value."""
    names = _shown(frame)
    columns = [_column(frame, name) for name in names]
    rows = [list(row) for row in zip(*columns, strict=True)]
    return [name.replace("_", " ") for name in names], rows


def _shown(frame: pd.DataFrame) -> list[str]:
    """Return the columns that stand for themselves and are not empty."""
    empty = {"note"} if "note" in frame and (frame["note"] == "").all() else set()
    return [str(c) for c in frame.columns if c not in _parts(frame) | empty]


def _parts(frame: pd.DataFrame) -> set[str]:
    """Return the columns that belong to the value of another one.

    In a matrix of variants the columns are variants, whatever their names end in.
    """
    variants = set(frame["variant"]) if "variant" in frame else set()
    values = set(frame.columns) - variants
    return {f"{c}_{part}" for c in values for part in PARTS} & set(frame.columns)


def _column(frame: pd.DataFrame, name: str) -> list[str]:
    """Return one column's cells, with ``± error`` and ``[low, high]`` where there are any."""
    values, parts = frame[name], _parts(frame)
    numbers = [frame[c] for c in (name, f"{name}_error") if c == name or c in parts]
    style = _style(name, pd.concat(numbers))
    found = [_text(value, style) for value in values]
    if f"{name}_error" in parts:
        errors = [_text(value, style) for value in frame[f"{name}_error"]]
        found = [f"{v} ± {e}" if e else v for v, e in zip(found, errors, strict=True)]
    if f"{name}_low" in parts:
        pairs = zip(frame[f"{name}_low"], frame[f"{name}_high"], strict=True)
        ends = [(_text(low, style), _text(high, style)) for low, high in pairs]
        found = [f"{v} [{a}, {b}]" if a else v for v, (a, b) in zip(found, ends, strict=True)]
    if f"{name}_mark" in parts:
        found = [v + SIGNS.get(m, "") for v, m in zip(found, frame[f"{name}_mark"], strict=True)]
    return found


def _style(name: str, values: pd.Series) -> str:
    """Return the format of a column's floats: as many decimals as it needs."""
    if name.endswith("_p"):
        return P_VALUE
    if not _numeric(values):
        return ""
    finite = [float(v) for v in values.dropna() if math.isfinite(v)]
    if all(v == round(v, 2) for v in finite):
        return "g"
    return ".4f" if max(map(abs, finite)) < 10 else ".1f"


def _numeric(values: pd.Series) -> bool:
    return pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)


def _text(value: object, style: str) -> str:
    if value is None or value is pd.NA or (isinstance(value, float) and math.isnan(value)):
        return ""
    if not isinstance(value, float):
        return printable(str(value))
    if value == -math.inf:
        return NEVER
    if style == P_VALUE and value >= 0.001:
        return f"{value:.3f}"
    return f"{value:{style}}"
