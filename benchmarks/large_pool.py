"""A sequential query from a pool of up to a million, as a run makes it, in a process of its own.

The features lie in a file that is mapped, as ``data.features`` leaves them. The query's process is
    python -m benchmarks.large_pool FOLDER CANDIDATES DIMENSION CLASSES BATCH DEVICE
and its memory is the peak of the whole process: interpreter, libraries and mapped file included.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np
import torch

from alupdate.config import (
    ActiveLearningTask,
    PosteriorConfig,
    RunConfig,
    SequentialBatch,
    TrainingConfig,
    UpdateConfig,
)
from alupdate.data.arrays import Npz
from alupdate.data.dataset import Dataset, Vectors
from alupdate.data.feature_cache import Features
from alupdate.data.pool import Annotator, Pool
from alupdate.experiment.selection import Selector
from alupdate.experiment.setup import learner_settings
from alupdate.experiment.task import timed
from alupdate.models.learner import FrozenLearner
from alupdate.models.plain import PlainBackbone
from alupdate.strategies.uncertainty import Margin
from alupdate.utils.errors import InputError
from benchmarks.measure import CPU, Row, Timing, device_name
from benchmarks.memory import MIB, peak_mib

LABELLED, TEST, REPEATS = 200, 100, 3
CHUNK = 2**15
"""Rows that are drawn and written at a time."""
OPERATION = "sequential margin query, own process"


def pool_rows(
    counts: Sequence[int], dimension: int, classes: int, batch: int, device: torch.device = CPU
) -> Iterator[Row]:
    """Yield a row per number of candidates.

    Raises:
        InputError: the temporary directory has no room for the features.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_problem(folder, max(counts) + LABELLED, dimension, classes)
        for count in counts:
            timing = _in_its_own_process(folder, count, dimension, classes, batch, device)
            words = f"b={batch} D={dimension} C={classes} P={count:,}"
            yield Row(
                section="growth",
                what=f"{OPERATION}: {words}",
                ours=timing,
                agreement="memory: the peak of the whole process, not what the query adds",
                variable="candidates",
                value=count,
            )


def write_problem(folder: Path, count: int, dimension: int, classes: int) -> None:
    """Write features (count, D) and labels (count,) of overlapping Gaussian classes into a folder.

    Raises:
        InputError: there is no room for them.
    """
    needed, free = 4 * count * dimension, shutil.disk_usage(folder).free
    if needed > free:
        raise InputError(
            f"{folder}: has {free // MIB:,} MiB free, a pool of {count:,} needs {needed // MIB:,}; "
            "set TMPDIR to a directory with more room"
        )
    rng = np.random.default_rng(0)
    labels = rng.integers(classes, size=count)
    centres = rng.normal(size=(classes, dimension)).astype(np.float32)
    try:
        np.save(folder / "labels.npy", labels)
        with (folder / "features").open("wb") as file:
            for start in range(0, count, CHUNK):
                part = labels[start : start + CHUNK]
                noise = rng.standard_normal((len(part), dimension), dtype=np.float32)
                file.write((noise + np.float32(0.3) * centres[part]).data)
    except OSError as error:
        raise InputError(f"{folder}: cannot be written ({error.strerror})") from error


def _in_its_own_process(
    folder: Path, count: int, dimension: int, classes: int, batch: int, device: torch.device
) -> Timing:
    sizes = map(str, (count, dimension, classes, batch, device))
    command = [sys.executable, "-m", "benchmarks.large_pool", str(folder), *sizes]
    environment = os.environ | {"OMP_NUM_THREADS": str(torch.get_num_threads())}
    try:
        answer = subprocess.run(
            command, capture_output=True, text=True, check=True, env=environment
        )
    except subprocess.CalledProcessError as error:
        said = error.stderr.strip().splitlines()
        reason = said[-1] if said else f"killed (exit {error.returncode})"
        raise InputError(f"a query from {count:,} candidates failed: {reason}") from error
    return Timing(**json.loads(answer.stdout))


def query_seconds(
    folder: Path,
    count: int,
    dimension: int,
    classes: int,
    batch: int,
    device: torch.device = CPU,
) -> list[float]:
    """Return the seconds of each of several queries after one as warm-up.

    Each is what a cycle does: all candidates in random order, gathered, classified, queried.
    """
    labels = np.load(folder / "labels.npy")[: count + LABELLED]
    shape = (len(labels), dimension)
    features = np.memmap(folder / "features", np.float32, "r", shape=shape)
    config = _config(batch)
    learner = FrozenLearner(
        Features(features, features[:TEST]), classes, learner_settings(config), device
    )
    known = np.arange(LABELLED)
    pool = Pool.unlabelled(len(labels)).label(known, labels[known])
    model = learner.fit(pool.indices, pool.labels, 0)
    vectors, names = Vectors(features), tuple(map(str, range(classes)))
    dataset = Dataset("growth", vectors, labels, vectors, labels, names)
    selector, annotator = Selector(config, dataset), Annotator(labels)
    seconds = []
    for cycle in range(REPEATS + 1):
        select = partial(selector.select, cycle, pool, model, annotator.annotate)
        seconds.append(timed(select, device)[1])
    return seconds[1:]


def _config(batch: int) -> RunConfig:
    """Return a run that queries the whole pool; its data set and backbone are never asked for."""
    return RunConfig(
        dataset=Npz(path="features"),
        backbone=PlainBackbone(name="identity"),
        strategy=Margin(),
        batch=SequentialBatch(name="sequential", size=batch),
        posterior=PosteriorConfig(),
        training=TrainingConfig(solver="lbfgs"),
        update=UpdateConfig(name="second_order", gamma=1.0),
        task=ActiveLearningTask(name="active_learning"),
        subset=None,
    )


def main(arguments: list[str]) -> None:
    """Print the timing of the query that the arguments describe, as JSON."""
    folder, count, dimension, classes, batch, name = arguments
    device = torch.device(name)
    seconds = query_seconds(
        Path(folder), int(count), int(dimension), int(classes), int(batch), device
    )
    timing = Timing(median(seconds), len(seconds), peak_mib(), device_name(device))
    if device.type == "cuda":
        timing = replace(timing, device_mib=torch.cuda.max_memory_allocated(device) / MIB)
    print(json.dumps(asdict(timing)))


if __name__ == "__main__":
    main(sys.argv[1:])
