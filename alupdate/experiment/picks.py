"""How many labels of a run are wrong, and how many queries went to outliers and repetitions."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from alupdate.config import RunConfig
from alupdate.data.dataset import Dataset
from alupdate.data.pool import Pool
from alupdate.results.picks import COUNTED, PickCounts
from alupdate.results.records import CycleRecord


class PickCounter:
    """Holds what was acquired against what the data truly are; no strategy sees any of it."""

    def __init__(self, config: RunConfig, dataset: Dataset) -> None:
        """Make ready.

        Args:
            config: says which disturbances there are.
            dataset: with its true labels, and with what its instances repeat.
        """
        self._used = [key for key in config.dataset.disturbed_by if key in COUNTED]
        self._dataset = dataset

    def counts(self, pool: Pool) -> PickCounts | None:
        """Return the counts of a pool with its labels; None where nothing is to be counted."""
        if not self._used:
            return None
        found = {COUNTED[key]: self._count(key, pool) for key in self._used}
        return PickCounts(**found)

    def _count(self, disturbance: str, pool: Pool) -> int:
        if disturbance == "outliers":
            return len(pool.unlabelable)
        if disturbance == "label_noise":
            truth = self._dataset.true_labels
            assert truth is not None
            return int((pool.labels != truth[pool.indices]).sum())
        originals = self._dataset.originals
        assert originals is not None
        return len(pool.indices) - len(np.unique(originals[pool.indices]))

    def counted(self, records: Sequence[CycleRecord], start: Pool) -> list[CycleRecord]:
        """Return the records of a run with their counts, which those made earlier lack.

        Args:
            records: of its cycles.
            start: the pool before them.
        """
        if not self._used:
            return list(records)
        found, pool = [], start
        for record in records:
            indices, labels = (np.array(x, dtype=np.int64) for x in (record.indices, record.labels))
            pool = pool.label(indices, labels)
            found.append(replace(record, picks=self.counts(pool)))
        return found
