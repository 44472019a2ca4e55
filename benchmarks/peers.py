"""Against libraries that do the same: scikit-activeml for strategies, laplace-torch for posteriors.

Both get what they need in the form they like best, outside of the measurement.
"""

import logging
import warnings
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec

from benchmarks.measure import Row

log = logging.getLogger(__name__)

PEERS = {
    "scikit-activeml": ("skactiveml", "benchmarks.peer_strategies"),
    "laplace-torch": ("laplace", "benchmarks.peer_posteriors"),
}
"""Each package's module, and ours that measures it."""


def rows(quick: bool) -> Iterator[Row]:
    """Yield the rows of each library that is installed, and say which is not."""
    for package, (module, section) in PEERS.items():
        if find_spec(module) is None:
            log.warning("peers: %s is not installed (pip install 'alupdate[bench]')", package)
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what a library warns of on import is its own affair
            measured = import_module(section)
        yield from measured.rows(quick)
