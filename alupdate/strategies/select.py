"""Choosing what to label from Python: ``select`` and ``utilities`` for a pool of features."""

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from numbers import Integral
from typing import Any, Literal, cast

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from pydantic import ValidationError
from torch import Tensor
from typing_extensions import override

from alupdate.config.options import make_option, options, requirement
from alupdate.config.schema import BatchConfig, SequentialBatch, TopBatch
from alupdate.laplace.inputs import check_count, check_positive, check_size, completed
from alupdate.laplace.names import SECOND_ORDER
from alupdate.laplace.posterior import LastLayerPosterior
from alupdate.laplace.rules import UpdateRule
from alupdate.laplace.updates import update_rule
from alupdate.strategies.base import (
    Oracle,
    Positions,
    Query,
    Retrain,
    ScoringStrategy,
    Strategy,
    StrategyOption,
    best,
    checked,
)
from alupdate.strategies.batches import build_batch, checked_utilities
from alupdate.utils.errors import InputError, suggestion

Numbers = Tensor | ArrayLike | Sequence[int]
"""What becomes a tensor: features (N, D), class indices (N,) or positions (N,)."""
Truth = tuple[Numbers, Numbers, Numbers]
"""True class indices (P,) of a pool; features (T, D) and class indices (T,) for evaluation."""


@contextmanager
def _one_sentence() -> Iterator[None]:
    """Raise ValueError, which Python users expect, for what the command calls wrong input."""
    try:
        yield
    except InputError as error:
        raise ValueError(str(error)) from error


@_one_sentence()
def select(
    strategy: str | Strategy,
    size: int = 10,
    *,
    features: Numbers,
    posterior: LastLayerPosterior,
    labelled: Numbers | None = None,
    labels: Numbers | None = None,
    unlabelable: Numbers | None = None,
    batch: Literal["top_b", "sequential"] = "top_b",
    annotate: Callable[[Positions], Numbers] | None = None,
    every: int = 1,
    rule: str | UpdateRule = SECOND_ORDER,
    gamma: float = 1.0,
    seed: int | np.random.Generator = 0,
    oracle: Truth | None = None,
    retrain: Retrain | None = None,
    **settings: Any,
) -> Positions:
    """Return the positions (size,) of the instances to label next, in the order of selection.

    Args:
        strategy: a name, as after ``strategy=`` on the command line, or a ``Strategy``.
        size: of the batch.
        features: (P, D), of the whole pool; a missing bias column is appended.
        posterior: over the last layer's weights (C, D), as ``fit`` returns it.
        labelled, labels: (K,), positions that are labelled already, and their class indices, which
            only some strategies need.
        unlabelable: (U,), positions that were asked about in vain: they are not asked about again,
            and count as covered where a strategy looks at coverage.
        batch: ``sequential`` updates the model after every few picks with their labels.
        annotate: for ``sequential``: returns the class indices of positions.
        every, rule: for ``sequential``: picks at a time, and the update after them.
        gamma: step size of all updates; ``second_order`` mostly needs more than 1, such as 10.
        seed: of every random choice, or a generator.
        oracle: for oracles: true class indices (P,) of the pool; features (T, D) and class
            indices (T,) of an evaluation set.
        retrain: for oracles that retrain: from features (N, D) and class indices (N,) to the
            weights (C, D) of a last layer trained on them.
        settings: of the strategy, as ``strategy.KEY=VALUE`` on the command line, such as
            ``length=0.5`` of ``maxherding``.

    Raises:
        ValueError: an argument is missing or wrong.

    Example:
        >>> from alupdate.laplace.updates import fit
        >>> features = torch.tensor([[3.0], [-0.1], [1.0], [-2.0]])
        >>> posterior = fit(torch.tensor([[1.0], [-1.0]]), features[[0, 3]])
        >>> select("margin", 2, features=features, posterior=posterior, labelled=[0, 3])
        array([1, 2])
    """
    known = _Known(labelled, labels, unlabelable)
    given = _Given(features, posterior, known, rule, gamma, seed, oracle, retrain)
    state = _prepared(strategy, settings, given)
    return state.candidates[state.batch(_construction(batch, size, every, annotate), annotate)]


@_one_sentence()
def utilities(
    strategy: str | Strategy,
    *,
    features: Numbers,
    posterior: LastLayerPosterior,
    labelled: Numbers | None = None,
    labels: Numbers | None = None,
    unlabelable: Numbers | None = None,
    rule: str | UpdateRule = SECOND_ORDER,
    gamma: float = 1.0,
    seed: int | np.random.Generator = 0,
    oracle: Truth | None = None,
    retrain: Retrain | None = None,
    **settings: Any,
) -> NDArray[np.floating]:
    """Return the utility (P,) of each instance of the pool for the first pick; higher is better.

    NaN marks labelled instances, and those that the strategy does not score. What the numbers mean
    is in the documentation of the strategy. The arguments are those of ``select``.

    Raises:
        ValueError: an argument is missing or wrong, or the strategy has no utilities.

    Example:
        >>> from alupdate.laplace.updates import fit
        >>> features = torch.tensor([[3.0], [-0.1], [1.0]])
        >>> posterior = fit(torch.tensor([[1.0], [-1.0]]), features[:1])
        >>> utilities("margin", features=features, posterior=posterior, labelled=[0]).round(2)
        array([ nan, 0.9 , 0.24], dtype=float32)
    """
    known = _Known(labelled, labels, unlabelable)
    given = _Given(features, posterior, known, rule, gamma, seed, oracle, retrain)
    return _prepared(strategy, settings, given).utilities()


@dataclass(frozen=True)
class _Known:
    """What was asked about before, as it was given."""

    labelled: Numbers | None
    labels: Numbers | None
    unlabelable: Numbers | None


@dataclass(frozen=True)
class _Given:
    """The arguments that both functions share, as they were given."""

    features: Numbers
    posterior: LastLayerPosterior
    known: _Known
    rule: str | UpdateRule
    gamma: float
    seed: int | np.random.Generator
    oracle: Truth | None
    retrain: Retrain | None


@dataclass(frozen=True)
class _State:
    """A strategy and the query that it is asked.

    Attributes:
        strategy: whose answers are checked.
        query: at the start of a batch.
        rule: the update between the picks of a sequential batch.
        candidates: (F,), positions in the pool, ascending.
        size: P, of the pool.
    """

    strategy: "_Checked"
    query: Query
    rule: UpdateRule
    candidates: Positions
    size: int

    def batch(
        self, construction: BatchConfig, annotate: Callable[[Positions], Numbers] | None
    ) -> Positions:
        """Return the positions (b,) of a batch among the candidates."""
        available = len(self.candidates)
        if construction.size > available:
            raise ValueError(f"size={construction.size}: there are only {available} candidates")
        if isinstance(construction, SequentialBatch):
            self.rule.check(self.query.posterior)

        def labels_of(picked: Positions) -> Tensor:
            assert annotate is not None  # only a sequential batch asks
            answer = annotate(self.candidates[picked])
            return _classes("annotate", answer, len(picked), self.query.posterior)

        return build_batch(self.strategy, self.query, construction, self.rule, labels_of)

    def utilities(self) -> NDArray[np.floating]:
        """Return the utilities (P,) of the pool; NaN where there are none."""
        if not hasattr(self.strategy.strategy, "utilities"):
            raise ValueError(f"strategy={self.strategy.name}: does not score single instances")
        values = self.strategy.scores(self.query).numpy(force=True)
        everywhere: NDArray[np.floating] = np.full(self.size, np.nan, dtype=values.dtype)
        everywhere[self.candidates] = values
        return everywhere


def _construction(
    batch: str, size: int, every: int, annotate: Callable[[Positions], Numbers] | None
) -> BatchConfig:
    check_count("size", size)
    check_count("every", every)
    if batch == "top_b":
        return TopBatch(name="top_b", size=int(size))
    if batch != "sequential":
        raise ValueError(f"batch={batch!r}: must be 'top_b' or 'sequential'")
    if annotate is None:
        raise ValueError("batch='sequential' needs annotate: positions to class indices")
    return SequentialBatch(name="sequential", size=int(size), every=int(every))


def _prepared(strategy: str | Strategy, settings: dict[str, Any], given: _Given) -> _State:
    """Check the arguments, and return the strategy with its query.

    Raises:
        ValueError: one of them is missing or wrong.
    """
    chooser = _strategy(strategy, settings)
    if isinstance(chooser, StrategyOption):
        chooser.load()
    posterior, rule = given.posterior, given.rule
    between = update_rule(rule) if isinstance(rule, str) else rule
    hypothetical = between
    if isinstance(chooser, StrategyOption) and chooser.hypothetical_update is not None:
        hypothetical = update_rule(chooser.hypothetical_update)
        hypothetical.check(posterior)
    check_positive("gamma", given.gamma)
    rows = _features("features", given.features, posterior)
    known, in_vain, candidates = _split(given.known, len(rows))
    oracle = (
        _oracle(given.oracle, len(rows), candidates, posterior) if chooser.needs_oracle else None
    )
    query = Query.of(
        posterior,
        rows[candidates],
        rows[known],
        _known_labels(given.known.labels, len(known), chooser, posterior),
        seed=_seed(given.seed),
        gamma=float(given.gamma),
        rule=hypothetical,
        oracle=oracle,
        retrain=given.retrain,
        unlabelable=rows[in_vain] if len(in_vain) else None,
    )
    return _State(_Checked(chooser, _name(strategy)), query, between, candidates, len(rows))


def _split(given: _Known, count: int) -> tuple[Positions, Positions, Positions]:
    """Return the positions that are labelled, cannot be labelled, and are candidates."""
    known = _positions("labelled", given.labelled, count)
    in_vain = _positions("unlabelable", given.unlabelable, count)
    if np.isin(in_vain, known).any():
        raise ValueError(f"unlabelable: {in_vain[np.isin(in_vain, known)][0]} is labelled")
    candidates = np.setdiff1d(np.arange(count), [*known, *in_vain])
    if not len(candidates):
        raise ValueError("labelled: leaves no candidates in the pool")
    return known, in_vain, candidates


def _known_labels(
    labels: Numbers | None, count: int, strategy: Strategy, posterior: LastLayerPosterior
) -> Tensor:
    """Return class indices (K,), -1 where they are not given and the strategy needs none."""
    if labels is not None:
        return _classes("labels", labels, count, posterior)
    if count and getattr(strategy, "uses_labels", True):
        raise ValueError("labels: this strategy looks at the class indices of what is labelled")
    return torch.full((count,), -1, device=posterior.mean.device)


def _oracle(
    truth: Truth | None, size: int, candidates: Positions, posterior: LastLayerPosterior
) -> Oracle:
    if truth is None:
        raise ValueError(
            "the strategy is an oracle: give oracle=(class indices of the whole pool, features of "
            "an evaluation set, its class indices)"
        )
    labels = _classes("oracle[0]", truth[0], size, posterior)
    points = _features("oracle[1]", truth[1], posterior)
    targets = _classes("oracle[2]", truth[2], len(points), posterior)
    return Oracle(labels[candidates], points, targets)


def _strategy(strategy: str | Strategy, settings: dict[str, Any]) -> Strategy:
    """Return the strategy of a name with its settings, or the object itself."""
    if not isinstance(strategy, str):
        usable = callable(getattr(strategy, "select", None)) and hasattr(strategy, "needs_oracle")
        if isinstance(strategy, type) or not usable:
            raise ValueError(f"strategy={strategy!r}: must be a name, or an object of a Strategy")
        if settings:
            raise ValueError(f"{min(settings)}: settings go with a strategy's name only")
        if isinstance(strategy, StrategyOption):
            strategy.check()
        return strategy
    found = options("strategy")
    if strategy not in found:
        raise ValueError(
            f"strategy={strategy}: no such strategy; {suggestion(strategy, found)}"
            f"available: {', '.join(sorted(found))}"
        )
    known = [field.name for field in fields(found[strategy]) if field.name != "name"]
    for key in settings:
        if key not in known:
            raise ValueError(
                f"{key}: strategy={strategy} has no such setting; {suggestion(key, known)}"
                f"available: {', '.join(known)}"
            )
    try:
        made = make_option("strategy", {**settings, "name": strategy})
    except ValidationError as error:
        raise ValueError(_explanation(error)) from error
    assert isinstance(made, StrategyOption)
    return made


def _explanation(error: ValidationError) -> str:
    """Return one line for the first setting that is wrong."""
    first = error.errors(include_url=False)[0]
    key = ".".join(map(str, first["loc"]))
    if first["type"] == "missing":
        return f"{key}: a value is required"
    return f"{key}={first['input']}: {requirement(first['msg'])}"


def _name(strategy: str | Strategy) -> str:
    if isinstance(strategy, str):
        return strategy
    return str(getattr(strategy, "name", type(strategy).__name__))


@dataclass(frozen=True)
class _Checked(Strategy):
    """A strategy whose answers are checked before they are used."""

    strategy: Strategy
    name: str

    @override
    def select(self, query: Query, size: int) -> Positions:
        if type(self.strategy).select is ScoringStrategy.select:
            answer = best(self.scores(query), query, size)
        else:
            answer = self.strategy.select(query, size)
        return checked(answer, query, size, f"strategy={self.name}")

    def scores(self, query: Query) -> Tensor:
        """Return the utilities (P,) of a strategy that has them.

        Raises:
            InputError: they are no tensor of that shape.
        """
        scores = cast(ScoringStrategy, self.strategy).utilities(query)
        return checked_utilities(scores, query, f"strategy={self.name}")


def _features(key: str, values: Numbers, posterior: LastLayerPosterior) -> Tensor:
    """Return features (N, D) as the posterior's weights are, with its bias column.

    Raises:
        ValueError: they are no finite matrix of its dimension.
    """
    mean = getattr(posterior, "mean", None)
    if not isinstance(mean, Tensor):
        raise ValueError("posterior: must be a posterior over a last layer's weights")
    rows = _numbers(key, values).to(mean)
    if rows.ndim != 2 or not len(rows):
        raise ValueError(f"{key}: must have shape (N, D), not {tuple(rows.shape)}")
    try:
        rows = completed(rows, mean.shape[1])
    except ValueError as error:
        raise ValueError(f"{key}: {error}") from None
    check_size(rows, key)
    return rows


def _numbers(key: str, values: Any) -> Tensor:
    """Return a dense tensor of real numbers, of the values themselves where they are one.

    Raises:
        ValueError: they are no real numbers, or some are masked.
    """
    if isinstance(values, Tensor):
        if values.is_complex() or values.layout != torch.strided:
            raise ValueError(f"{key}: must be a dense matrix of real numbers, not {values.dtype}")
        return values.detach()
    array = _array(key, values)
    if array.dtype.kind not in "fiub":
        raise ValueError(f"{key}: must be a matrix of numbers, not {array.dtype}")
    if array.dtype not in (np.float32, np.float16):
        array = array.astype(np.float64, copy=False)  # of other bytes, or longer
    if any(stride < 0 for stride in array.strides):
        array = array.copy()
    with warnings.catch_warnings():  # of arrays that must not be written to: nothing here does
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")
        return torch.from_numpy(array)


def _array(key: str, values: Any) -> NDArray[Any]:
    """Return an array.

    Raises:
        ValueError: it has lines of different lengths, or masked elements.
    """
    if np.ma.is_masked(values):
        raise ValueError(f"{key}: has masked elements; fill them or leave their rows out")
    try:
        return values.numpy(force=True) if isinstance(values, Tensor) else np.asarray(values)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"{key}: is no array of numbers ({error})") from error


def _seed(seed: Any) -> int | np.random.Generator:
    """Return a seed if it is one.

    Raises:
        ValueError: it is neither an integer of at least 0 nor a generator.
    """
    if isinstance(seed, np.random.Generator):
        return seed
    if isinstance(seed, bool) or not isinstance(seed, Integral) or seed < 0:
        raise ValueError(f"seed is {seed!r}: it must be an integer of at least 0, or a generator")
    return int(seed)


def _integers(key: str, values: Any) -> NDArray[np.int64]:
    """Return a vector of integers.

    Raises:
        ValueError: it is none.
    """
    array = _array(key, values)
    if array.ndim != 1 or (len(array) and array.dtype.kind not in "iu"):
        raise ValueError(f"{key}: must be a vector of integers, not {array.dtype} {array.shape}")
    return array.astype(np.int64)


def _positions(key: str, values: Any, size: int) -> NDArray[np.int64]:
    known = _integers(key, () if values is None else values)
    if len(known) and not 0 <= known.min() <= known.max() < size:
        raise ValueError(f"{key}: must be positions from 0 to {size - 1}")
    if len(np.unique(known)) < len(known):
        raise ValueError(f"{key}: names a position twice")
    return known


def _classes(key: str, values: Any, count: int, posterior: LastLayerPosterior) -> Tensor:
    """Return class indices (count,) on the posterior's device.

    Raises:
        ValueError: they are too few or too many, or there is no such class.
    """
    indices, n_classes = _integers(key, values), len(posterior.mean)
    if len(indices) != count:
        raise ValueError(f"{key}: {len(indices)} class indices for {count} instances")
    if count and not 0 <= indices.min() <= indices.max() < n_classes:
        raise ValueError(f"{key}: must be class indices from 0 to {n_classes - 1}")
    return torch.from_numpy(indices).to(posterior.mean.device)
