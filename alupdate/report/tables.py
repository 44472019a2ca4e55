"""The command ``alupdate tables``: all tables, one to cite, or two results side by side."""

import argparse
import math
from pathlib import Path
from typing import TYPE_CHECKING

from alupdate.report.sources import SOURCE, metric_argument, read_source
from alupdate.utils.errors import DONE, FAILED, InputError

if TYPE_CHECKING:
    from alupdate.analysis.question import ResultTable

PAPER_NUMBERS = "paper"
"""What results can be compared with."""


def table_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("source", type=Path, help=f"{SOURCE}, or of areas")
    parser.add_argument(
        "folder", type=Path, nargs="?",
        help="where the files go (default: the folder tables beside the data)",
    )  # fmt: skip
    metric_argument(parser)
    parser.add_argument(
        "--expect", metavar=PAPER_NUMBERS,
        help="compare accuracies with what the notebooks of the paper's authors show",
    )  # fmt: skip
    parser.add_argument(
        "--reference", metavar="VARIANT",
        help="count the seeds that tell strategies from this one (default: from the best)",
    )  # fmt: skip
    parser.add_argument(
        "--budget", metavar="SECONDS", type=float,
        help="add the best strategy whose median query takes no longer",
    )  # fmt: skip
    other = parser.add_mutually_exclusive_group()
    other.add_argument(
        "--cite", action="store_true",
        help="one table that a paper can cite, instead of all others",
    )  # fmt: skip
    other.add_argument(
        "--compare", metavar="A", type=Path,
        help="compare results A with those of the source, B, cell by cell, instead of all tables; "
        "exit code 1 if anything differs",
    )  # fmt: skip


def make_tables(chosen: argparse.Namespace) -> int:
    """Print and write tables, and return the exit code.

    Raises:
        InputError: results or options are wrong; nothing was written.
    """
    if chosen.expect not in (None, PAPER_NUMBERS):
        raise InputError(f"--expect: {chosen.expect} is not known; available: {PAPER_NUMBERS}")
    if chosen.budget is not None and not (math.isfinite(chosen.budget) and chosen.budget > 0):
        raise InputError(f"--budget={chosen.budget:g}: must be a number of seconds above 0")
    for option in ("expect", "reference", "budget"):
        if (chosen.cite or chosen.compare) and getattr(chosen, option) is not None:
            only = "--cite" if chosen.cite else "--compare"
            raise InputError(f"--{option}: has no effect with {only}; remove one of them")
    if chosen.compare:
        return _compare(chosen)
    _write_tables(chosen, _tables(chosen))
    return DONE


def _tables(chosen: argparse.Namespace) -> "list[ResultTable]":
    from dataclasses import replace

    from alupdate.analysis.budget import budget_tables
    from alupdate.analysis.catalogue import analysis_input, result_tables
    from alupdate.analysis.citation import citation_table
    from alupdate.analysis.paper_check import paper_tables

    results = read_source(chosen.source, chosen.metric)
    given = replace(analysis_input(results, chosen.metric), reference=chosen.reference)
    if chosen.cite:
        return [citation_table(given, results)]
    tables = result_tables(given)
    if chosen.budget is not None:
        tables += budget_tables(given, results, chosen.budget)
    return tables + (paper_tables(results) if chosen.expect else [])


def _compare(chosen: argparse.Namespace) -> int:
    from alupdate.analysis.comparison import all_agree, compare_results, counts_of_verdicts

    first, second = (
        read_source(source, chosen.metric) for source in (chosen.compare, chosen.source)
    )
    table = compare_results(first, second, chosen.metric)
    _write_tables(chosen, [table])
    print(counts_of_verdicts(table))
    return DONE if all_agree(table) else FAILED


def _write_tables(chosen: argparse.Namespace, tables: "list[ResultTable]") -> None:
    from alupdate.analysis.render import markdown, write_table

    source: Path = chosen.source
    folder = chosen.folder or (source if source.is_dir() else source.parent) / "tables"
    folder.mkdir(parents=True, exist_ok=True)
    for table in tables:
        print(markdown(table))
        write_table(table, folder)
    print(f"{len(tables)} table{'s' * (len(tables) != 1)} in {folder}")
