"""The active-learning cycle: select, label, learn, evaluate, record."""

from collections.abc import Sequence
from dataclasses import asdict

import numpy as np
import torch

from alupdate.config import RunConfig
from alupdate.data.dataset import IntArray
from alupdate.data.pool import Annotator, Pool
from alupdate.display import Display
from alupdate.learner import Model, update_model
from alupdate.metrics import Scores, score
from alupdate.results.records import Comparison, CycleRecord
from alupdate.results.store import RunStore
from alupdate.seeds import Stream, generator
from alupdate.tasks.select import Selector, holdout
from alupdate.tasks.setup import Setup, check_sizes
from alupdate.tasks.timing import median_seconds, timed


class ActiveLearning:
    """One active-learning run.

    Everything that a cycle decides is in its record, and everything random is numbered by cycle;
    so the state after any cycle can be reached again from the records alone.
    """

    def __init__(self, config: RunConfig, setup: Setup) -> None:
        self._config, self._setup = config, setup
        self._annotator = Annotator(setup.dataset.train_labels)
        self._selector = Selector(config, setup.dataset, self._annotator)
        size = len(setup.dataset.train)
        self._order = generator(config.seed, Stream.INITIAL_LABELS).permutation(size)
        self._reserved = holdout(config, self._order)
        self._test_labels = torch.from_numpy(setup.dataset.test_labels).to(setup.device)
        check_sizes(config, size, self._reserved)

    @property
    def is_oracle(self) -> bool:
        """Whether the strategy sees labels that were not bought."""
        return self._selector.is_oracle

    def run(self, store: RunStore, display: Display) -> list[CycleRecord]:
        """Run the cycles that are not recorded yet; each is committed as it ends."""
        records = store.load()
        if records:
            display.say(f"resuming after cycle {records[-1].cycle}")
        pool, model = self._pool_after(records), self._model_after(records)
        total = self._config.n_cycles + 1
        with display.progress("cycles", total, len(records)) as advance:
            for cycle in range(len(records), total):
                pool, model, record = self._cycle(cycle, pool, model)
                records.append(record)
                store.save(records, self.is_oracle)
                accuracy = record.scores["accuracy"]
                advance(1, f"{record.n_labelled} labels, accuracy {accuracy:.3f}")
        store.save(records, self.is_oracle)
        return records

    def _cycle(
        self, cycle: int, pool: Pool, before: Model | None
    ) -> tuple[Pool, Model, CycleRecord]:
        """Select, label, learn, evaluate; in cycle 0 the initial labels are drawn at random."""
        device, timings = self._setup.device, dict[str, float]()
        if before is None:
            timings["features"] = self._setup.seconds
            indices = self._order[: self._config.n_initial]
        else:
            indices, timings["select"] = timed(
                lambda: self._selector.select(cycle, pool, before), device
            )
        labels = self._annotator.annotate(indices)
        after = pool.label(indices, labels)
        phase = "retrain" if before is None or self._retrains(cycle) else "update"
        model, timings[phase] = timed(
            lambda: self._learn(cycle, after, before, indices, labels), device
        )
        scores, timings["evaluate"] = timed(lambda: self._score(model), device)
        comparison = None
        if before is not None and self._config.update.compare:
            comparison = self._compare(cycle, after, before, indices, labels)
        record = CycleRecord(
            cycle=cycle,
            n_labelled=len(after.indices),
            indices=tuple(indices.tolist()),
            labels=tuple(labels.tolist()),
            scores=asdict(scores),
            timings=timings,
            comparison=comparison,
        )
        return after, model, record

    def _retrains(self, cycle: int) -> bool:
        settings = self._config.update
        every = settings.retrain_every
        return settings.name == "retrain" or (every is not None and cycle % every == 0)

    def _learn(
        self, cycle: int, pool: Pool, before: Model | None, indices: IntArray, labels: IntArray
    ) -> Model:
        if before is None or self._retrains(cycle):
            return self._setup.learner.fit(pool.indices, pool.labels, cycle)
        return self._update(before, indices, labels)

    def _update(self, before: Model, indices: IntArray, labels: IntArray) -> Model:
        return update_model(before, indices, labels, self._config.update.gamma)

    def _compare(
        self, cycle: int, pool: Pool, before: Model, indices: IntArray, labels: IntArray
    ) -> Comparison:
        """Update and retrain on the same new labels, and time both on their own."""
        device = self._setup.device
        updated = self._update(before, indices, labels)
        retrained, retrain_seconds = timed(
            lambda: self._setup.learner.fit(pool.indices, pool.labels, cycle), device
        )
        predictions = [m.posterior.logits(m.test).argmax(dim=1) for m in (updated, retrained)]
        return Comparison(
            n_new=len(indices),
            update_seconds=median_seconds(lambda: self._update(before, indices, labels), device),
            retrain_seconds=retrain_seconds,
            before_accuracy=self._score(before).accuracy,
            update_accuracy=self._score(updated).accuracy,
            retrain_accuracy=self._score(retrained).accuracy,
            agreement=(predictions[0] == predictions[1]).double().mean().item(),
        )

    def _score(self, model: Model) -> Scores:
        return score(model.posterior.logits(model.test), self._test_labels)

    def _pool_after(self, records: Sequence[CycleRecord]) -> Pool:
        pool = Pool.unlabelled(len(self._order), self._reserved)
        for record in records:
            pool = pool.label(np.array(record.indices), np.array(record.labels))
        return pool

    def _model_after(self, records: Sequence[CycleRecord]) -> Model | None:
        """Fit at the last cycle that retrained, and repeat the updates since then."""
        if not records:
            return None
        last = max(c for c in range(len(records)) if c == 0 or self._retrains(c))
        pool = self._pool_after(records[: last + 1])
        model = self._setup.learner.fit(pool.indices, pool.labels, last)
        for record in records[last + 1 :]:
            model = self._update(model, np.array(record.indices), np.array(record.labels))
        return model
