"""The sections of the benchmark, in the order in which they are measured."""

from collections.abc import Mapping

from benchmarks import growth, lookahead, peers, scale, sequential, updates, whole_run
from benchmarks.devices import Section

SECTIONS: Mapping[str, Section] = {
    "update": updates.rows,
    "look-ahead": lookahead.rows,
    "sequential": sequential.rows,
    "peers": peers.rows,
    "whole run": whole_run.rows,
    "growth": growth.rows,
    "scale": scale.rows,
}
"""By name."""
