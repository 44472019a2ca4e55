"""Top-b strategies against those of scikit-activeml."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from skactiveml import pool
from skactiveml.base import SkactivemlClassifier
from sklearn.cluster import MiniBatchKMeans
from torch import Tensor

from alupdate.laplace.predictive import sample_weights
from alupdate.strategies.badge import Badge
from alupdate.strategies.base import Positions, Query
from alupdate.strategies.batch_bald import BatchBald
from alupdate.strategies.diversity import CoreSet, TypiClust, unit_length
from alupdate.strategies.uncertainty import Bald
from alupdate.utils.seeds import sub_seed
from benchmarks.measure import Row, in_turn
from benchmarks.peer_quality import (
    joint_information,
    largest_gap,
    neighbour_distance,
    potential,
)
from benchmarks.sequential import SIZES, Setting, Sizes, same_batch

SAMPLES, CONFIGURATIONS, NEIGHBOURS = 100, 1000, 20
"""Of the posterior; joint labels of BatchBALD; TypiClust's. The same for both."""
GIVEN = "scikit-activeml, given the samples that ours has to draw"
SEEDS = 10
"""Batches over which the quality of a random strategy is averaged."""

Choose = Callable[[int], Positions]
"""Returns a batch (b,) for a seed."""


@dataclass(frozen=True)
class Pair:
    """One strategy, ours and the library's, and what to say about two of their batches.

    ``slow`` ones take seconds, and are measured less often.
    """

    name: str
    against: str
    ours: Choose
    other: Choose
    agreement: Callable[[Positions, Positions], str]
    slow: bool = False


class Known(SkactivemlClassifier):
    """Answers with predictions computed before, so that only the library's own work is timed.

    Attributes:
        probabilities: (P, C), of the candidates.
        samples: (S, P, C), of the candidates under samples of the weights.
    """

    probabilities: NDArray[np.floating]
    samples: NDArray[np.floating]

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> "Known":
        """Take note of the classes."""
        self._validate_data(X, y, sample_weight)
        return self

    def predict_proba(self, X: Any) -> NDArray[np.floating]:
        """Return the probabilities, whatever the features."""
        return self.probabilities

    def sample_proba(self, X: Any) -> NDArray[np.floating]:
        """Return the samples; a copy, since the library clips them in place."""
        return self.samples.copy()


def rows(quick: bool, sizes: Sizes = SIZES) -> Iterator[Row]:
    """Yield a row per strategy."""
    setting = Setting.of(sizes)
    for make in (badge, typiclust, coreset, bald, batch_bald):
        pair = make(setting)
        quick_repeats, full_repeats = (1, 3) if pair.slow else (5, 7)
        repeats = quick_repeats if quick else full_repeats
        ours, other = in_turn([partial(pair.ours, 0), partial(pair.other, 0)], repeats)
        yield Row(
            section="peers",
            what=f"{pair.name} query, {sizes.words()}",
            against=pair.against,
            ours=ours,
            other=other,
            agreement=pair.agreement(pair.ours(0), pair.other(0)),
        )


def badge(setting: Setting) -> Pair:
    """BADGE; the library writes the gradients (P, C D) out."""
    query = setting.query()
    model = _known(setting, probabilities=torch.softmax(query.logits, dim=1).numpy())
    strategy = Badge()
    ours, other = _choices(
        setting,
        strategy.select,
        lambda seed: pool.Badge(random_state=seed),
        clf=model,
        fit_clf=False,
    )

    def agreement(*_: Positions) -> str:
        first, second = (
            np.mean([potential(query, choose(seed)) for seed in range(SEEDS)], axis=0)
            for choose in (ours, other)
        )
        return (
            f"mean k-means++ potential {first[0]:.3g}, theirs {second[0]:.3g}; with the origin as "
            f"a centre, as they count it, {first[1]:.3g} and {second[1]:.3g} ({SEEDS} seeds)"
        )

    return Pair("BADGE", "scikit-activeml", ours, other, agreement)


def typiclust(setting: Setting) -> Pair:
    """TypiClust; the library gets our clustering, seed, scaling and number of neighbours."""
    query = setting.query()

    def make(seed: int) -> Any:
        clustering = {"n_init": 1, "random_state": sub_seed(np.random.default_rng(seed))}
        return pool.TypiClust(
            cluster_algo=MiniBatchKMeans,
            cluster_algo_dict=clustering,
            k=NEIGHBOURS,
            random_state=seed,
        )

    def agreement(ours: Positions, other: Positions) -> str:
        gaps = [neighbour_distance(query, batch, NEIGHBOURS) for batch in (ours, other)]
        return (
            f"{same_batch(ours, other)}; mean distance to {NEIGHBOURS} neighbours {gaps[0]:.4g}, "
            f"theirs {gaps[1]:.4g}"
        )

    choices = _choices(setting, TypiClust(n_neighbours=NEIGHBOURS).select, make, unit=True)
    return Pair("TypiClust", "scikit-activeml", *choices, agreement, slow=True)


def coreset(setting: Setting) -> Pair:
    """CoreSet, which draws nothing."""
    query = setting.query()

    def agreement(ours: Positions, other: Positions) -> str:
        gaps = [largest_gap(query, batch) for batch in (ours, other)]
        return f"{same_batch(ours, other)}; largest gap {gaps[0]:.5g}, theirs {gaps[1]:.5g}"

    choices = _choices(setting, CoreSet().select, lambda seed: pool.CoreSet(random_state=seed))
    return Pair("CoreSet", "scikit-activeml", *choices, agreement)


def bald(setting: Setting) -> Pair:
    """BALD; the library gets the very samples that ours draws, and is not timed for drawing."""
    query = setting.query()
    drawn = np.random.default_rng(0).standard_normal(
        (SAMPLES, setting.sizes.classes), dtype=np.float32
    )
    deviations = query.variances.clamp(min=0).sqrt()
    logits = query.logits + deviations * torch.from_numpy(drawn)[:, None]
    choices = _choices(
        setting,
        Bald(n_samples=SAMPLES).select,
        lambda seed: pool.GreedyBALD(
            sample_predictions_method_name="sample_proba", random_state=seed
        ),
        ensemble=_known(setting, samples=torch.softmax(logits, dim=2).numpy()),
        fit_ensemble=False,
    )
    return Pair(f"BALD ({SAMPLES} samples)", GIVEN, *choices, same_batch)


def batch_bald(setting: Setting) -> Pair:
    """BatchBALD; as for BALD, but with samples of the weights, and as many joint labels."""
    ours = BatchBald(n_samples=SAMPLES, n_configurations=CONFIGURATIONS)
    weights = sample_weights(setting.posterior, SAMPLES, np.random.default_rng(0))
    samples = torch.softmax(setting.pool.features @ weights.mT, dim=2)
    choices = _choices(
        setting,
        ours.select,
        lambda seed: pool.BatchBALD(
            n_MC_samples=CONFIGURATIONS,
            sample_predictions_method_name="sample_proba",
            random_state=seed,
        ),
        ensemble=_known(setting, samples=samples.numpy()),
        fit_ensemble=False,
    )

    def agreement(ours: Positions, other: Positions) -> str:
        nats = [_information(samples, batch) for batch in (ours, other)]
        return (
            f"{same_batch(ours, other)}; mutual information {nats[0]:.4g}, "
            f"theirs {nats[1]:.4g} nats"
        )

    return Pair(f"BatchBALD ({SAMPLES} samples)", GIVEN, *choices, agreement, slow=True)


def _information(samples: Tensor, batch: Positions) -> float:
    chosen = samples[:, torch.from_numpy(batch)].transpose(0, 1)
    return joint_information(chosen, np.random.default_rng(1))


def _known(setting: Setting, **predictions: NDArray[np.floating]) -> Known:
    """Return a fitted classifier of the library's kind with these predictions."""
    labelled = setting.labelled
    model = Known(classes=list(range(setting.sizes.classes)))
    model.fit(labelled.features.numpy(), labelled.labels.numpy())
    for name, values in predictions.items():
        setattr(model, name, values)
    return model


def _choices(
    setting: Setting,
    select: Callable[[Query, int], Positions],
    make: Callable[[int], Any],
    unit: bool = False,
    **models: Any,
) -> tuple[Choose, Choose]:
    """Return our and the library's choice.

    Args:
        setting: the problem.
        select: our strategy.
        make: the library's, for a seed.
        unit: whether the library gets features of unit length.
        models: further arguments of its ``query``.
    """
    known, query = len(setting.labelled.features), setting.query()
    everything = torch.cat([setting.labelled.features, setting.pool.features])
    features = (unit_length(everything) if unit else everything).numpy()
    targets = np.full(len(features), np.nan)
    targets[:known] = setting.labelled.labels.numpy()
    candidates, size = np.arange(known, len(features)), setting.sizes.batch

    def ours(seed: int) -> Positions:
        return select(replace(query, rng=np.random.default_rng(seed)), size)

    def other(seed: int) -> Positions:
        chosen = make(seed).query(
            X=features, y=targets, candidates=candidates, batch_size=size, **models
        )
        return np.asarray(chosen, dtype=np.int64) - known

    return ours, other
