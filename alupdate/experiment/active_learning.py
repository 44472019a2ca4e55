"""The active-learning cycle: select, label, learn, evaluate, record."""

from collections.abc import Sequence
from functools import partial

import numpy as np
import torch

from alupdate.analysis.curves import learning_curve
from alupdate.analysis.theme import fix_margins
from alupdate.config import RunConfig
from alupdate.data.dataset import IntArray
from alupdate.data.pool import Annotator, Pool
from alupdate.experiment.forecasting import Forecaster
from alupdate.experiment.kept_model import saved_model_of
from alupdate.experiment.learning import Batch, Learning, score_model
from alupdate.experiment.selection import Selector, first_picks, holdout
from alupdate.experiment.setup import Setup, check_fits, check_sizes
from alupdate.experiment.task import TaskSummary, median_seconds, timed
from alupdate.models.learner import Model, updated_model
from alupdate.models.saved import SavedModel
from alupdate.results.csv_tables import read_run_table
from alupdate.results.records import Comparison, CycleRecord, cycles_of, tables
from alupdate.results.store import RunStore
from alupdate.utils.display import Display
from alupdate.utils.errors import InputError
from alupdate.utils.metrics import ACCURACY, PRIMARY, SUMMARY
from alupdate.utils.seeds import Stream, generator


class ActiveLearning:
    """One active-learning run.

    Everything that a cycle decides is in its record, and everything random is numbered by cycle;
    so the state after any cycle can be reached again from the records alone.
    """

    def __init__(self, config: RunConfig, setup: Setup) -> None:
        self._config, self._setup = config, setup
        self._learning = Learning(config, setup.learner)
        self._annotator = Annotator(setup.dataset.train_labels)
        self._selector = Selector(config, setup.dataset)
        size = len(setup.dataset.train)
        self._order = generator(config.seed, Stream.INITIAL_LABELS).permutation(size)
        self._forecaster = Forecaster(config, self._annotator, self._order)
        self._reserved = np.concatenate([holdout(config, self._order), self._forecaster.held_out])
        self._test_labels = torch.from_numpy(setup.dataset.test_labels).to(setup.device)
        check_sizes(config, size, self._reserved)
        labels = config.n_initial + config.n_cycles * config.batch.size
        check_fits(setup, [config.posterior.likelihood], labels)

    @property
    def is_oracle(self) -> bool:
        """Whether the strategy sees labels that were not acquired."""
        return self._selector.is_oracle

    def run(self, store: RunStore, display: Display) -> TaskSummary:
        """Run the cycles that are not recorded yet; each is committed as it ends."""
        records = self._finished(store)
        steps = [record.step() for record in records]
        if records:
            display.say(f"resuming after cycle {records[-1].cycle}")
        pool, model = self._pool_after(records), self._model_after(records)
        total = self._config.n_cycles + 1
        with display.progress("cycles", total, len(records)) as advance:
            for cycle in range(len(records), total):
                pool, model, record = self._cycle(cycle, pool, model)
                record = self._forecaster.with_forecast(record, pool, model, records)
                records.append(record)
                steps.append(record.step())
                store.save(steps, self._tables(store, records))
                primary = record.scores[PRIMARY]
                advance(1, f"{record.n_labelled} labels, {PRIMARY} {primary:.3f}")
        store.save(steps, self._tables(store, records), last=True)
        if records[-1].forecast is not None:
            display.say(records[-1].forecast.in_words())
        return _summary(store, records)

    def model_of(self, store: RunStore) -> Model:
        """Return the model after the last recorded cycle.

        Raises:
            InputError: no cycle is recorded.
        """
        model = self._model_after(self._finished(store))
        if model is None:
            raise InputError(f"{store.path}: holds no finished cycle")
        return model

    def saved_model(self, store: RunStore, display: Display) -> SavedModel:
        """Return the model after the last recorded cycle as it can be kept.

        Raises:
            InputError: no cycle is recorded.
        """
        pool = self._pool_after(self._finished(store))
        return saved_model_of(
            self._config, self._setup, self.model_of(store), pool, display=display
        )

    def _finished(self, store: RunStore) -> list[CycleRecord]:
        """Return the recorded cycles; none where their labels are not those of the data."""
        records, known = cycles_of(store.load()), self._setup.dataset.train_labels
        for record in records:
            indices = np.array(record.indices)
            if indices.max() >= len(known) or known[indices].tolist() != list(record.labels):
                store.reject(f"cycle {record.cycle} has labels that the data do not have")
                return []
        return records

    def _tables(self, store: RunStore, records: Sequence[CycleRecord]) -> dict[str, str]:
        return tables(store.name, self._config, self.is_oracle, records)

    def _cycle(
        self, cycle: int, pool: Pool, before: Model | None
    ) -> tuple[Pool, Model, CycleRecord]:
        """Select, label, learn, evaluate; in cycle 0 there is no model yet."""
        device, timings = self._setup.device, dict[str, float]()
        indices = self._selected(cycle, pool, before, timings)
        labels = self._annotator.annotate(indices)
        after = pool.label(indices, labels)
        settings = self._config.update
        learning = self._learning
        updates = before is not None and (settings.compare or not learning.retrains(cycle))
        gamma, seconds = 0.0, 0.0
        if before is not None and updates:
            gamma, seconds = timed(lambda: learning.gamma(cycle, after, before), device)
            if settings.gamma == "auto":
                timings["step_size"] = seconds
        if before is None or learning.retrains(cycle):
            model, timings["retrain"] = timed(lambda: learning.retrain(cycle, after), device)
        else:
            model, timings["update"] = timed(
                lambda: updated_model(learning.rule, before, indices, labels, gamma), device
            )
        scores, timings["evaluate"] = timed(lambda: self._score(model), device)
        comparison = None
        if before is not None and settings.compare:
            comparison = self._compare(cycle, after, before, indices, labels, gamma)
        record = CycleRecord(
            cycle=cycle,
            n_labelled=len(after.indices),
            indices=tuple(indices.tolist()),
            labels=tuple(labels.tolist()),
            scores=scores,
            timings=timings,
            comparison=comparison,
        )
        return after, model, record

    def _selected(
        self, cycle: int, pool: Pool, before: Model | None, timings: dict[str, float]
    ) -> IntArray:
        """Return what is labelled in a cycle, and note how long that took."""
        if before is None:
            timings["features"] = self._setup.seconds
            rows, classes = self._setup.learner.rows, self._setup.dataset.classes
            return first_picks(self._config, rows, self._order, pool, n_classes=len(classes))
        indices, timings["select"] = timed(
            lambda: self._selector.select(cycle, pool, before, self._annotator.annotate),
            self._setup.device,
        )
        return indices

    def _compare(
        self,
        cycle: int,
        pool: Pool,
        before: Model,
        indices: IntArray,
        labels: IntArray,
        gamma: float,
    ) -> Comparison:
        """Update and retrain on the same new labels, and time both on their own."""
        device = self._setup.device
        update = partial(updated_model, self._learning.rule, before, indices, labels, gamma)
        updated = update()
        retrained, retrain_seconds = timed(lambda: self._learning.retrain(cycle, pool), device)
        predictions = [m.posterior.logits(m.test).argmax(dim=1) for m in (updated, retrained)]
        return Comparison(
            n_new=len(indices),
            update_seconds=median_seconds(update, device),
            retrain_seconds=retrain_seconds,
            before_accuracy=self._score(before)[ACCURACY],
            update_accuracy=self._score(updated)[ACCURACY],
            retrain_accuracy=self._score(retrained)[ACCURACY],
            agreement=(predictions[0] == predictions[1]).double().mean().item(),
        )

    def _score(self, model: Model) -> dict[str, float]:
        return score_model(self._config, model, self._test_labels)

    def _pool_after(self, records: Sequence[CycleRecord]) -> Pool:
        pool = Pool.unlabelled(len(self._order), self._reserved)
        for indices, labels in _batches(records):
            pool = pool.label(indices, labels)
        return pool

    def _model_after(self, records: Sequence[CycleRecord]) -> Model | None:
        if not records:
            return None
        return self._learning.after_all(self._pool_after([]), _batches(records))


def _batches(records: Sequence[CycleRecord]) -> list[Batch]:
    return [(np.array(record.indices), np.array(record.labels)) for record in records]


def _summary(store: RunStore, records: Sequence[CycleRecord]) -> TaskSummary:
    step = max(1, len(records) // 5)
    shown = [*records[:-1:step], records[-1]]
    rows = [[str(r.n_labelled), *(f"{r.scores[m]:.3f}" for m in SUMMARY)] for r in shown]
    return TaskSummary(
        ["labels", *SUMMARY],
        rows,
        lambda: fix_margins(learning_curve(read_run_table(store.main_table))),
    )
