"""Against libraries that do the same: scikit-activeml for strategies, laplace-torch for posteriors.

Both get what they need in the form they like best, outside of the measurement.
"""

import logging
import warnings
from collections.abc import Iterator
from importlib.util import find_spec

from alupdate.benchmark.measure import Row

log = logging.getLogger(__name__)


def rows(quick: bool) -> Iterator[Row]:
    """Yield the rows of each library that is installed, and say which is not."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what the libraries warn of is their own affair
        if _installed("skactiveml", "scikit-activeml"):
            from alupdate.benchmark import peer_strategies

            yield from peer_strategies.rows(quick)
        if _installed("laplace", "laplace-torch"):
            from alupdate.benchmark import peer_posteriors

            yield from peer_posteriors.rows(quick)


def _installed(module: str, package: str) -> bool:
    if find_spec(module) is not None:
        return True
    log.warning("peers: %s is not installed (pip install 'alupdate[bench]')", package)
    return False
