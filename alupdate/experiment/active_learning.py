"""The active-learning cycle: select, label, learn, evaluate, record."""

from collections.abc import Sequence
from functools import cached_property, partial

import numpy as np
import torch

from alupdate.analysis.curves import learning_curve
from alupdate.analysis.theme import fix_margins
from alupdate.config import RunConfig
from alupdate.config.values import NO_LABEL
from alupdate.data.costs import label_costs
from alupdate.data.dataset import IntArray
from alupdate.data.pool import Pool
from alupdate.experiment.annotation import (
    Votes,
    annotator_of,
    asked,
    batches_in,
    changed_labels,
    disagreement,
    doubted,
    present_labels,
    votes_of,
)
from alupdate.experiment.forecasting import Forecaster
from alupdate.experiment.kept_model import saved_model_of
from alupdate.experiment.learning import Batch, Learning, score_model
from alupdate.experiment.picks import PickCounter
from alupdate.experiment.selection import NONE, Selector, first_picks, holdout, outliers_of
from alupdate.experiment.setup import Setup, check_fits, check_sizes
from alupdate.experiment.task import TaskSummary, median_seconds, timed
from alupdate.laplace.step_size import MIN_LABELS
from alupdate.models.learner import Model, updated_model
from alupdate.models.saved import SavedModel
from alupdate.results.annotations import CycleAnnotations
from alupdate.results.csv_tables import read_run_table
from alupdate.results.records import Comparison, CycleRecord, cycles_of, tables
from alupdate.results.stopping import StopVerdict
from alupdate.results.store import RunStore
from alupdate.stopping.verdicts import StoppingRules
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
        self._annotator = annotator_of(config, setup)
        self._costs = label_costs(config.dataset, setup.dataset)
        self._selector = Selector(config, setup.dataset)
        self._picks = PickCounter(config, setup.dataset)
        size = len(setup.dataset.train)
        self._order = generator(config.seed, Stream.INITIAL_LABELS).permutation(size)
        self._forecaster = Forecaster(config, self._annotator, self._order)
        self._reserved = np.concatenate([holdout(config, self._order), self._forecaster.held_out])
        candidates = Pool.unlabelled(size, self._reserved).candidates()
        self._stopping = StoppingRules(config.stop, config.seed, candidates)
        self._test_labels = torch.from_numpy(setup.dataset.test_labels).to(setup.device)
        outliers = outliers_of(setup.dataset)
        self._check_sizes(outliers)
        labels = config.n_initial + config.n_cycles * config.batch.size
        check_fits(setup, [config.posterior.likelihood], labels)

    @property
    def is_oracle(self) -> bool:
        """Whether the strategy sees labels that were not acquired."""
        return self._selector.is_oracle

    def _check_sizes(self, outliers: IntArray) -> None:
        """Refuse more labels than the pool can give, and first picks that bring too few.

        Args:
            outliers: instances that nobody can label.

        Raises:
            InputError: naming the key to change.
        """
        config = self._config
        unusable = np.union1d(self._reserved, outliers) if self.is_oracle else self._reserved
        check_sizes(config, len(self._order), unusable)
        if not len(outliers):
            return
        count = int((~np.isin(self._first_picks, outliers)).sum())
        needed = MIN_LABELS if config.update.gamma == "auto" else 1
        if count < needed:
            raise InputError(
                f"n_initial={config.n_initial}: {config.n_initial - count} of these instances are "
                f"outliers without a label, and {needed} labels or more are needed; take more"
            )

    @cached_property
    def _first_picks(self) -> IntArray:
        """The pool indices that are labelled before there is a model."""
        if not self._config.n_initial:
            return NONE
        rows, classes = self._setup.learner.rows, self._setup.dataset.classes
        pool = self._pool_after([])
        return first_picks(self._config, rows, self._order, pool, n_classes=len(classes))

    def run(self, store: RunStore, display: Display) -> TaskSummary:
        """Run the cycles that are not recorded yet; each is committed as it ends."""
        records = self._finished(store)
        steps = [record.as_step() for record in records]
        if records:
            display.say(f"resuming after cycle {records[-1].cycle}")
        pool, model = self._pool_after(records), self._model_after(records)
        total = self._config.n_cycles + 1
        with display.progress("cycles", total, len(records)) as advance:
            while len(records) < total and not store.ending_rules(records):
                pool, model, record = self._cycle(records, pool, model)
                record = self._forecaster.with_forecast(record, pool, model, records)
                records.append(record)
                steps.append(record.as_step())
                store.save(steps, self._tables(store, records))
                primary = record.scores[PRIMARY]
                advance(1, f"{record.n_labelled} labels, {PRIMARY} {primary:.3f}")
        store.save(steps, self._tables(store, records), last=True)
        if records[-1].forecast is not None:
            display.say(records[-1].forecast.in_words())
        return _summary(store, records, self._config.n_cycles)

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
        records = cycles_of(store.load())
        trouble = disagreement(self._annotator, records, self._setup.dataset.train_labels)
        trouble = trouble or self._wrong_cost(records)
        if trouble:
            store.reject(trouble)
            return []
        return self._picks.counted(records, self._pool_after([]))

    def _wrong_cost(self, records: Sequence[CycleRecord]) -> str:
        """Return which recorded cycle has another cost than the data say; empty if none."""
        for record in records:
            if record.cost != self._cost(record.indices, record.annotations):
                return f"cycle {record.cycle} has a cost that the data do not have"
        return ""

    def _cost(self, indices: Sequence[int], annotations: CycleAnnotations | None) -> float | None:
        """Return what the annotations of a cycle cost; None where each costs the same."""
        if self._costs is None:
            return None
        given = indices if annotations is None else [index for index, _, _ in annotations.given]
        return float(self._costs[np.array(given, dtype=np.int64)].sum())

    def _tables(self, store: RunStore, records: Sequence[CycleRecord]) -> dict[str, str]:
        return tables(store.name, self._config, self.is_oracle, records)

    def _cycle(
        self, earlier: Sequence[CycleRecord], pool: Pool, before: Model | None
    ) -> tuple[Pool, Model, CycleRecord]:
        """Select, label, learn, evaluate; in cycle 0 there is no model yet."""
        cycle, timings, votes = len(earlier), dict[str, float](), votes_of(earlier)
        again = self._again(pool, before, votes, timings)
        indices = self._selected(cycle, pool, before, timings, len(again))
        labels = self._annotator.annotate(indices)
        truth = self._setup.dataset.train_labels
        annotations = asked(self._annotator, indices, again, votes, truth)
        changes, previous = changed_labels(votes, annotations), before
        if before is not None and changes:
            pool = pool.relabelled(changes)
            before = self._revised(cycle, pool, before, earlier, timings)
        after = pool.label(indices, labels)
        model, comparison = self._learnt(cycle, after, before, (indices, labels), timings)
        scores, timings["evaluate"] = timed(lambda: self._score(model, after), self._setup.device)
        n_before = earlier[-1].n_labelled if earlier else 0
        record = CycleRecord(
            cycle=cycle,
            n_labelled=n_before + len(indices if annotations is None else annotations.given),
            indices=tuple(indices.tolist()),
            labels=tuple(labels.tolist()),
            scores=scores,
            timings=timings,
            comparison=comparison,
            annotations=annotations,
            cost=self._cost(indices.tolist(), annotations),
            stopping=self._verdicts(earlier, after, previous, model, timings),
            picks=self._picks.counts(after),
        )
        return after, model, record

    def _verdicts(
        self,
        earlier: Sequence[CycleRecord],
        pool: Pool,
        before: Model | None,
        model: Model,
        timings: dict[str, float],
    ) -> tuple[StopVerdict, ...]:
        """Return what the stopping rules say after a cycle, and note how long that took."""
        history = [record.stopping for record in earlier]
        verdicts, seconds = timed(
            lambda: self._stopping.verdicts(pool, before, model, history), self._setup.device
        )
        if verdicts:
            timings["stop"] = seconds
        return verdicts

    def _again(
        self, pool: Pool, model: Model | None, votes: Votes, timings: dict[str, float]
    ) -> IntArray:
        """Return the labelled instances that annotators are asked about again in a cycle."""
        count = self._config.annotator.ask_again
        if model is None or not count:
            return NONE
        again, timings["doubt"] = timed(
            lambda: doubted(model, pool, votes, count), self._setup.device
        )
        return again

    def _revised(
        self,
        cycle: int,
        pool: Pool,
        before: Model,
        earlier: Sequence[CycleRecord],
        timings: dict[str, float],
    ) -> Model:
        """Return the model that had learnt the pool's present labels from the start, if it is used.

        An update depends on those before it, and no downdate gives the mean without an earlier one
        exactly (``alupdate.laplace.downdate``): they are made again since the last training.
        """
        if self._learning.retrains(cycle) and not self._config.update.compare:
            return before
        batches = batches_in(pool, earlier)
        model, timings["revise"] = timed(
            lambda: self._learning.after_all(self._pool_after([]), batches), self._setup.device
        )
        return model

    def _learnt(
        self, cycle: int, pool: Pool, before: Model | None, new: Batch, timings: dict[str, float]
    ) -> tuple[Model, Comparison | None]:
        """Return the model after a cycle, and how updating and retraining compare if asked for."""
        device, settings, learning = self._setup.device, self._config.update, self._learning
        retrains = before is None or learning.retrains(cycle)
        gamma, seconds = 0.0, 0.0
        if before is not None and (settings.compare or not retrains):
            gamma, seconds = timed(lambda: learning.gamma(cycle, pool, before), device)
            if settings.gamma == "auto":
                timings["step_size"] = seconds
        if before is None or retrains:
            model, timings["retrain"] = timed(lambda: learning.retrain(cycle, pool), device)
        else:
            model, timings["update"] = timed(
                lambda: updated_model(learning.rule, before, *new, gamma), device
            )
        teaches = bool((new[1] != NO_LABEL).any())
        if before is None or not settings.compare or not teaches:
            return model, None
        return model, self._compare(cycle, pool, before, *new, gamma)

    def _selected(
        self,
        cycle: int,
        pool: Pool,
        before: Model | None,
        timings: dict[str, float],
        n_again: int,
    ) -> IntArray:
        """Return what is labelled in a cycle, and note how long that took."""
        if before is None:
            timings["features"] = self._setup.seconds
            return self._first_picks
        annotate = self._annotator.annotate
        indices, timings["select"] = timed(
            lambda: self._selector.select(cycle, pool, before, annotate, n_again),
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
            n_new=int((labels != NO_LABEL).sum()),
            update_seconds=median_seconds(update, device),
            retrain_seconds=retrain_seconds,
            before_accuracy=self._score(before)[ACCURACY],
            update_accuracy=self._score(updated)[ACCURACY],
            retrain_accuracy=self._score(retrained)[ACCURACY],
            agreement=(predictions[0] == predictions[1]).double().mean().item(),
        )

    def _score(self, model: Model, pool: Pool | None = None) -> dict[str, float]:
        return score_model(self._config, model, self._test_labels, pool)

    def _pool_after(self, records: Sequence[CycleRecord]) -> Pool:
        pool = Pool.unlabelled(len(self._order), self._reserved)
        for record in records:
            indices, labels = (np.array(x, dtype=np.int64) for x in (record.indices, record.labels))
            pool = pool.label(indices, labels)
        return pool.relabelled(present_labels(votes_of(records)))

    def _model_after(self, records: Sequence[CycleRecord]) -> Model | None:
        if not records:
            return None
        batches = batches_in(self._pool_after(records), records)
        return self._learning.after_all(self._pool_after([]), batches)


def _summary(store: RunStore, records: Sequence[CycleRecord], n_cycles: int) -> TaskSummary:
    step = max(1, len(records) // 5)
    shown = [*records[:-1:step], records[-1]]
    rows = [[str(r.n_labelled), *(f"{r.scores[m]:.3f}" for m in SUMMARY)] for r in shown]
    return TaskSummary(
        ["labels", *SUMMARY],
        rows,
        lambda: fix_margins(learning_curve(read_run_table(store.main_table))),
        _stopped(store.ending_rules(records), records[-1], n_cycles),
    )


def _stopped(rules: Sequence[str], last: CycleRecord, n_cycles: int) -> str:
    """Return which rules ended a run; nothing if none did."""
    if not rules:
        return ""
    return (
        f"stopped by {' and '.join(rules)} after {last.n_labelled} labels, cycle {last.cycle} of "
        f"{n_cycles}"
    )
