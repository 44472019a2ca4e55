"""Updating against retraining: one base model, new labels, every update rule beside retraining."""

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from functools import partial

import torch
from torch import Tensor

from alupdate.analysis.accuracy_by_size import accuracy_by_update
from alupdate.config import MethodConfig, PosteriorConfig, RunConfig, StepSize, UpdatingTask
from alupdate.data.dataset import IntArray
from alupdate.data.pool import Pool
from alupdate.experiment.learning import chosen_temperature
from alupdate.experiment.setup import Setup, check_fits
from alupdate.experiment.task import TaskSummary, timed, update_seconds
from alupdate.laplace.monte_carlo import MonteCarloUpdate
from alupdate.laplace.names import GAUSSIAN
from alupdate.laplace.posterior import LastLayerPosterior
from alupdate.laplace.rules import UpdateResult, UpdateRule
from alupdate.laplace.updates import laplace_posterior
from alupdate.models.learner import (
    LearnerSettings,
    Model,
    apply_rule,
    labelled,
    make_rule,
    step_size,
)
from alupdate.models.training import optimal_linear
from alupdate.results.csv_tables import read_run_table
from alupdate.results.records import UpdateRecord, update_table, updates_of
from alupdate.results.store import RunStore
from alupdate.utils.display import Display
from alupdate.utils.errors import InputError
from alupdate.utils.metrics import SUMMARY, score
from alupdate.utils.seeds import Stream, generator


@dataclass(frozen=True)
class _Pair:
    """An initial and a new set of labels, with the models that do not depend on the update.

    Attributes:
        base: trained on the initial labels.
        old: the initial labels.
        new_indices, new_labels: (b,), the new ones.
        base_logits: (T, C), of the test set under the base model.
        retrained_logits: (T, C), under the model retrained on all labels.
        retrain_seconds: what retraining took.
    """

    base: Model
    old: Pool
    new_indices: IntArray
    new_labels: IntArray
    base_logits: Tensor
    retrained_logits: Tensor
    retrain_seconds: float


class Updating:
    """Compares every update rule with retraining, over initial and new label sizes.

    The labels of a seed are one random order of the pool: the first n_initial train the base
    model, the next n_new are new. Smaller sizes are nested in larger ones.
    """

    is_oracle = False

    def __init__(self, config: RunConfig, setup: Setup) -> None:
        assert isinstance(config.task, UpdatingTask)
        self._config, self._setup, self._task = config, setup, config.task
        size = len(setup.dataset.train)
        self._order = generator(config.seed, Stream.INITIAL_LABELS).permutation(size)
        self._test_labels = torch.from_numpy(setup.dataset.test_labels).to(setup.device)
        wanted = max(self._task.initial_sizes) + max(self._task.new_sizes)
        if wanted > size:
            raise InputError(
                f"task.initial_sizes and task.new_sizes: the largest two are {wanted} labels, but "
                f"the pool has {size}"
            )
        likelihoods = {method.likelihood for method in self._task.methods}
        check_fits(setup, {config.posterior.likelihood, *likelihoods}, wanted)

    def run(self, store: RunStore, display: Display) -> TaskSummary:
        """Run the initial sizes that are not recorded yet; each is committed as it ends."""
        steps = updates_of(store.load())
        sizes = self._task.initial_sizes
        with display.progress("initial sizes", len(sizes), len(steps)) as advance:
            for n_initial in sizes[len(steps) :]:
                steps.append(list(self._records(n_initial)))
                self._save(store, steps)
                advance(1, f"{n_initial} labels")
        self._save(store, steps, last=True)
        return _summary(store)

    def _save(
        self, store: RunStore, steps: list[list[UpdateRecord]], *, last: bool = False
    ) -> None:
        records = [record for step in steps for record in step]
        documents = [{"records": [asdict(record) for record in step]} for step in steps]
        table = update_table(store.name, self._config, records)
        store.save(documents, {"updates.csv": table}, last=last)

    def _records(self, n_initial: int) -> Iterator[UpdateRecord]:
        old = self._labelled(n_initial)
        base = self._setup.learner.fit(old.indices, old.labels, n_initial)
        posteriors = [self._posterior(base, old, method) for method in self._task.methods]
        for n_new in self._task.new_sizes:
            pair, retrain_rows = self._retrained(base, old, n_new)
            yield from retrain_rows
            for method, posterior in zip(self._task.methods, posteriors, strict=True):
                model = replace(base, posterior=posterior)
                rule = make_rule(method.update, self._config.update.n_hypotheses, self._config.seed)
                for gamma in method.gammas:
                    yield self._updated(pair, model, method, rule, gamma)

    def _labelled(self, count: int) -> Pool:
        indices = self._order[:count]
        labels = self._setup.dataset.train_labels[indices]
        return Pool.unlabelled(len(self._order)).label(indices, labels)

    def _posterior(self, base: Model, old: Pool, method: MethodConfig) -> LastLayerPosterior:
        rows, _ = labelled(base, old.indices, old.labels)
        mean = base.posterior.mean
        return laplace_posterior(mean, rows, method.likelihood, method.prior_precision)

    def _retrained(self, base: Model, old: Pool, n_new: int) -> tuple[_Pair, list[UpdateRecord]]:
        """Retrain on old and new labels; also by L-BFGS where the backbone is frozen."""
        count = len(old.indices)
        everything = self._labelled(count + n_new)
        learner, device = self._setup.learner, self._setup.device
        retrained, seconds = timed(
            lambda: learner.fit(everything.indices, everything.labels, count + n_new), device
        )
        pair = _Pair(
            base,
            old,
            everything.indices[count:],
            everything.labels[count:],
            base.posterior.logits(base.test),
            retrained.posterior.logits(retrained.test),
            seconds,
        )
        rows = [
            self._record(pair, "base", pair.base_logits, 0.0, (base, old)),
            self._record(pair, "retrain", pair.retrained_logits, seconds, (retrained, everything)),
        ]
        if self._config.training.solver == "lbfgs":
            rows.append(replace(rows[1], method="retrain_lbfgs"))
        elif self._config.backbone.frozen:
            features, labels = labelled(base, everything.indices, everything.labels)
            classes, decay = len(base.posterior.mean), self._config.training.weight_decay
            posterior, seconds = timed(
                lambda: laplace_posterior(
                    optimal_linear(features, labels, classes, decay), features, GAUSSIAN, 1.0
                ),
                device,
            )
            logits = posterior.logits(base.test)
            learnt = (replace(base, posterior=posterior), everything)
            rows.append(self._record(pair, "retrain_lbfgs", logits, seconds, learnt))
        return pair, rows

    def _updated(
        self, pair: _Pair, model: Model, method: MethodConfig, rule: UpdateRule, gamma: StepSize
    ) -> UpdateRecord:
        device, n_new = self._setup.device, len(pair.new_indices)
        posterior = PosteriorConfig(method.likelihood, method.prior_precision)
        settings = LearnerSettings(self._config.training, posterior, self._config.seed)
        pool = pair.old.label(pair.new_indices, pair.new_labels)
        value, choice_seconds = timed(
            lambda: step_size(gamma, rule, model, pool, n_new, settings, len(pair.old.indices)),
            device,
        )
        update = partial(apply_rule, rule, model, pair.new_indices, pair.new_labels, value)
        updated, seconds = update(), update_seconds(update, device)
        logits = _test_logits(updated, model, pair.base_logits)
        learnt = None
        if not isinstance(updated, MonteCarloUpdate):
            learnt = (replace(model, posterior=updated.posterior), pool)
        record = self._record(pair, method.update, logits, seconds, learnt)
        return replace(
            record,
            likelihood=method.likelihood,
            prior_precision=method.prior_precision,
            gamma=value,
            step_size="auto" if gamma == "auto" else "fixed",
            choice_seconds=choice_seconds if gamma == "auto" else 0.0,
        )

    def _record(
        self,
        pair: _Pair,
        method: str,
        logits: Tensor,
        seconds: float,
        learnt: tuple[Model, Pool] | None,
    ) -> UpdateRecord:
        """Return the record of a model.

        Args:
            pair: of the labels.
            method: how it was learnt.
            logits: (T, C), of the test set.
            seconds: what that took.
            learnt: the model and its labels, which choose its temperature; None for an average of
                models.
        """
        temperature = math.nan if learnt is None else chosen_temperature(self._config, *learnt)
        predictions, before, after = (
            x.argmax(dim=1) for x in (logits, pair.base_logits, pair.retrained_logits)
        )
        return UpdateRecord(
            n_initial=len(pair.old.indices),
            n_new=len(pair.new_indices),
            method=method,
            likelihood="",
            prior_precision=math.nan,
            gamma=math.nan,
            step_size="",
            scores=score(logits, self._test_labels, temperature),
            decision_flips=(predictions != before).double().mean().item(),
            agreement=(predictions == after).double().mean().item(),
            seconds=seconds,
            speedup=pair.retrain_seconds / seconds if seconds else math.inf,
            choice_seconds=0.0,
        )


def _test_logits(updated: UpdateResult, model: Model, base_logits: Tensor) -> Tensor:
    """Return the test logits (T, C); for Monte-Carlo the log of the hypotheses' mean prediction."""
    if isinstance(updated, MonteCarloUpdate):
        return updated.predict(model.test).clamp_min(torch.finfo(torch.float32).tiny).log()
    return updated.new_logits(base_logits, model.test)


def _summary(store: RunStore) -> TaskSummary:
    table = read_run_table(store.main_table)
    table["step"] = ["" if math.isnan(gamma) else f"{gamma:g}" for gamma in table["gamma"]]
    means = table.groupby(["method", "step"], sort=False)
    rows = [
        [str(part) for part in key]
        + [f"{group[column].mean():.3f}" for column in (*SUMMARY, "agreement")]
        + [f"{group['seconds'].median() * 1000:.2f}"]
        for key, group in means
    ]
    means_of = [f"mean {metric}" for metric in SUMMARY]
    columns = ["method", "gamma", *means_of, "agreement", "median ms"]
    return TaskSummary(columns, rows, partial(accuracy_by_update, table))
