"""Write the AULC of every run of some experiments: the command ``alupdate areas``.

usage: python scripts/areas.py OUTPUT.csv results/<experiment> [results/<experiment> ...]
"""

import sys

from alupdate.report.commands import run_command


def main(arguments: list[str]) -> int:
    """Run the command and return its exit code."""
    return run_command(["areas", *arguments])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
