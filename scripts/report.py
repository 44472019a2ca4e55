"""Write one HTML page about an experiment: the command ``alupdate report``.

usage: python scripts/report.py results/<experiment> [OUTPUT.html]
"""

import sys

from alupdate.report.commands import run_command


def main(arguments: list[str]) -> int:
    """Run the command and return its exit code."""
    return run_command(["report", *arguments])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
