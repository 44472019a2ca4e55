"""The sections of the benchmark, in the order in which they are measured."""

from collections.abc import Callable, Iterator, Mapping

from benchmarks import growth, lookahead, peers, scale, sequential, updates, whole_run
from benchmarks.measure import Row

SECTIONS: Mapping[str, Callable[[bool], Iterator[Row]]] = {
    "update": updates.rows,
    "look-ahead": lookahead.rows,
    "sequential": sequential.rows,
    "peers": peers.rows,
    "whole run": whole_run.rows,
    "growth": growth.rows,
    "scale": scale.rows,
}
"""Name -> rows, given whether the run is a quick one."""
