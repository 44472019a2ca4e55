"""Against libraries that do the same: scikit-activeml for strategies, laplace-torch for posteriors.

Both get what they need in the form they like best, outside of the measurement.
"""

import logging
import warnings
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec

import torch

from benchmarks.measure import CPU, Row

log = logging.getLogger(__name__)

PEERS = {
    "scikit-activeml": ("skactiveml", "benchmarks.peer_strategies"),
    "laplace-torch": ("laplace", "benchmarks.peer_posteriors"),
}
"""Each package's module, and ours that measures it."""


def rows(quick: bool, device: torch.device = CPU) -> Iterator[Row]:
    """Yield the rows of each library that is installed, and say which is not.

    There are none on a GPU: scikit-activeml works on the CPU alone.
    """
    if device.type != CPU.type:
        log.warning("peers: are measured on the CPU alone")
        return
    for package, (module, section) in PEERS.items():
        if find_spec(module) is None:
            log.warning("peers: %s is not installed (pip install 'alupdate[bench]')", package)
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what a library warns of on import is its own affair
            measured = import_module(section)
        yield from measured.rows(quick)
