"""Print and write every table of an experiment: the command ``alupdate tables``.

usage: python scripts/tables.py results/<experiment> [OUTPUT_DIRECTORY] [--metric METRIC]
       [--expect paper] [--reference VARIANT] [--budget SECONDS] [--cite]
       python scripts/tables.py --compare A B [OUTPUT_DIRECTORY]
"""

import sys

from alupdate.report.commands import run_command
from alupdate.utils.display import protect_streams


def main(arguments: list[str]) -> int:
    """Run the command and return its exit code."""
    protect_streams()
    return run_command(["tables", *arguments])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
