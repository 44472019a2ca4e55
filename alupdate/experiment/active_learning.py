"""The active-learning cycle: select, label, learn, evaluate, record."""

from collections.abc import Sequence
from dataclasses import asdict
from functools import partial

import numpy as np
import torch

from alupdate.analysis.curves import learning_curve
from alupdate.analysis.theme import fix_margins
from alupdate.config import RunConfig
from alupdate.data.dataset import IntArray
from alupdate.data.pool import Annotator, Pool
from alupdate.experiment.selection import Selector, holdout
from alupdate.experiment.setup import Setup, check_fits, check_sizes, learner_settings
from alupdate.experiment.task import TaskSummary, median_seconds, timed
from alupdate.laplace.names import MAP
from alupdate.laplace.predictive import predict
from alupdate.models.learner import Model, make_rule, step_size, updated_model
from alupdate.results.csv_tables import read_run_table
from alupdate.results.records import Comparison, CycleRecord, cycles_of, tables
from alupdate.results.store import RunStore
from alupdate.utils.display import Display
from alupdate.utils.errors import InputError
from alupdate.utils.metrics import ACCURACY, PRIMARY, SUMMARY, score
from alupdate.utils.seeds import Stream, generator


class ActiveLearning:
    """One active-learning run.

    Everything that a cycle decides is in its record, and everything random is numbered by cycle;
    so the state after any cycle can be reached again from the records alone.
    """

    def __init__(self, config: RunConfig, setup: Setup) -> None:
        self._config, self._setup = config, setup
        self._learning = learner_settings(config)
        self._annotator = Annotator(setup.dataset.train_labels)
        self._selector = Selector(config, setup.dataset, self._annotator)
        name = config.update.compare_with if config.update.name == "retrain" else config.update.name
        self._rule = make_rule(name, config.update.n_hypotheses, config.seed)
        size = len(setup.dataset.train)
        self._order = generator(config.seed, Stream.INITIAL_LABELS).permutation(size)
        self._reserved = holdout(config, self._order)
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
        steps = [asdict(record) for record in records]
        if records:
            display.say(f"resuming after cycle {records[-1].cycle}")
        pool, model = self._pool_after(records), self._model_after(records)
        total = self._config.n_cycles + 1
        with display.progress("cycles", total, len(records)) as advance:
            for cycle in range(len(records), total):
                pool, model, record = self._cycle(cycle, pool, model)
                records.append(record)
                steps.append(asdict(record))
                store.save(steps, self._tables(store, records))
                primary = record.scores[PRIMARY]
                advance(1, f"{record.n_labelled} labels, {PRIMARY} {primary:.3f}")
        store.save(steps, self._tables(store, records), last=True)
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
        settings = self._config.update
        updates = before is not None and (settings.compare or not self._retrains(cycle))
        gamma, seconds = 0.0, 0.0
        if before is not None and updates:
            gamma, seconds = timed(lambda: self._gamma(cycle, after, before), device)
            if settings.gamma == "auto":
                timings["step_size"] = seconds
        if before is None or self._retrains(cycle):
            model, timings["retrain"] = timed(lambda: self._retrain(cycle, after), device)
        else:
            model, timings["update"] = timed(
                lambda: updated_model(self._rule, before, indices, labels, gamma), device
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

    def _retrains(self, cycle: int) -> bool:
        settings = self._config.update
        every = settings.retrain_every
        return settings.name == "retrain" or (every is not None and cycle % every == 0)

    def _retrain(self, cycle: int, pool: Pool) -> Model:
        return self._setup.learner.fit(pool.indices, pool.labels, cycle)

    def _gamma(self, cycle: int, pool: Pool, model: Model) -> float:
        """Return the step size for the update in a cycle, given the labels it brings, too."""
        config = self._config
        return step_size(
            config.update.gamma, self._rule, model, pool, config.batch.size, self._learning, cycle
        )

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
        update = partial(updated_model, self._rule, before, indices, labels, gamma)
        updated = update()
        retrained, retrain_seconds = timed(lambda: self._retrain(cycle, pool), device)
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
        """Score a model's test predictions; sampled predictives see the same noise each time."""
        predictive = self._config.posterior.predictive
        if predictive == MAP:
            return score(model.posterior.logits(model.test), self._test_labels)
        rng = generator(self._config.seed, Stream.PREDICTIVE)
        probabilities = predict(model.posterior, model.test, predictive, rng)
        tiny = torch.finfo(torch.float32).tiny
        return score(probabilities.double().clamp_min(tiny).log(), self._test_labels)

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
        model = self._retrain(last, pool)
        for record in records[last + 1 :]:
            indices, labels = np.array(record.indices), np.array(record.labels)
            pool = pool.label(indices, labels)
            gamma = self._gamma(record.cycle, pool, model)
            model = updated_model(self._rule, model, indices, labels, gamma)
        return model


def _summary(store: RunStore, records: Sequence[CycleRecord]) -> TaskSummary:
    step = max(1, len(records) // 5)
    shown = [*records[:-1:step], records[-1]]
    rows = [[str(r.n_labelled), *(f"{r.scores[m]:.3f}" for m in SUMMARY)] for r in shown]
    return TaskSummary(
        ["labels", *SUMMARY],
        rows,
        lambda: fix_margins(learning_curve(read_run_table(store.main_table))),
    )
