"""Draw every figure of an experiment: the command ``alupdate figures``.

usage: python scripts/figures.py results/<experiment> [OUTPUT_DIRECTORY] [--metric METRIC] [--paper]
       [--only PATTERN ...]
"""

import sys

from alupdate.report.commands import run_command
from alupdate.utils.display import protect_streams


def main(arguments: list[str]) -> int:
    """Run the command and return its exit code."""
    protect_streams()
    return run_command(["figures", *arguments])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
