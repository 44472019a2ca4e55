"""Write one HTML page about an experiment: the command ``alupdate report``.

usage: python scripts/report.py results/<experiment> [OUTPUT.html]
"""

import sys

from alupdate.report.commands import run_command
from alupdate.utils.display import protect_streams


def main(arguments: list[str]) -> int:
    """Run the command and return its exit code."""
    protect_streams()
    return run_command(["report", *arguments])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
