"""Random streams that derive from one seed; nothing is ever seeded globally.

Each use of randomness (initial pool, model initialisation, training order, ...) has its own
stream; what differs from cycle to cycle is numbered by cycle. Two consequences: runs that differ
only in the strategy share initial pool and initialisation, so they pair by seed; and a resumed run
continues with the very numbers that an uninterrupted one would have drawn, without any generator
state on disk.
"""

from enum import IntEnum

import numpy as np


class Stream(IntEnum):
    """The uses of randomness. The values are part of every result: never renumber them."""

    INITIAL_LABELS = 0
    HOLDOUT = 1
    MODEL_INIT = 2
    TRAINING = 3
    SUBSET = 4
    STRATEGY = 5
    STEP_SIZE = 6
    HYPOTHESES = 7
    PREDICTIVE = 8
    CALIBRATION = 9
    ANNOTATION = 10  # numbered by instance, not by cycle
    DISTURBANCE = 12
    STOP_SET = 13
    FORECAST = 14


def generator(seed: int, stream: Stream, cycle: int = 0) -> np.random.Generator:
    """Return the generator of one stream in one cycle."""
    sequence = np.random.SeedSequence(seed, spawn_key=(int(stream), cycle))
    return np.random.Generator(np.random.PCG64(sequence))


def sub_seed(rng: np.random.Generator) -> int:
    """Draw a seed for a library that takes only a 32-bit integer."""
    return int(rng.integers(2**31 - 1))
