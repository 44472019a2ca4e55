"""Gather one kind of CSV of all runs of an experiment: the command ``alupdate gather``.

usage: python scripts/gather.py results/<experiment> OUTPUT.csv [curve.csv | timings.csv | ...]
"""

import sys

from alupdate.report.commands import run_command


def main(arguments: list[str]) -> int:
    """Run the command and return its exit code."""
    return run_command(["gather", *arguments])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
