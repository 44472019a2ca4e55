"""The memory that a piece of code takes, measured in a process of its own."""

import textwrap

from tests.support.processes import start_code


def peak_mebibytes(code: str) -> float:
    """Run the code on one thread; return the largest resident size of its process."""
    measured = (
        "import resource, torch\ntorch.set_num_threads(1)\n"
        + textwrap.dedent(code)
        + "\nprint(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)\n"
    )
    process = start_code(measured).finish()
    if process.returncode != 0:
        raise AssertionError(process.stderr)
    return float(process.stdout.split()[-1])
