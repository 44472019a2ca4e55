"""Choosing what to label from Python: ``select`` and ``utilities`` for a pool of features."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from pydantic import ValidationError
from torch import Tensor
from typing_extensions import override

from alupdate.config.batches import SequentialBatch, TopBatch
from alupdate.config.options import make_option, options, requirement
from alupdate.config.values import UpdateName
from alupdate.laplace.posterior import LastLayer, with_bias
from alupdate.laplace.updates import Rule, update_rule
from alupdate.strategies.base import (
    Oracle,
    Positions,
    Query,
    Strategy,
    StrategyOption,
    build_batch,
    checked,
)
from alupdate.utils.errors import InputError, suggestion

Rows = Tensor | ArrayLike
"""Feature vectors (N, D)."""
Seed = int | np.random.Generator
Evaluation = tuple[Rows, Rows]
"""Features (T, D) and class indices (T,)."""


def select(
    strategy: str | Strategy,
    size: int = 10,
    *,
    features: Rows,
    posterior: LastLayer,
    labelled: Sequence[int] | ArrayLike | None = None,
    labels: ArrayLike | None = None,
    batch: Literal["top_b", "sequential"] = "top_b",
    annotate: Callable[[Positions], ArrayLike] | None = None,
    every: int = 1,
    rule: UpdateName | Rule = "second_order",
    gamma: float = 1.0,
    seed: Seed = 0,
    true_labels: ArrayLike | None = None,
    evaluation: Evaluation | None = None,
    **settings: Any,
) -> Positions:
    """Return the positions (size,) of the instances to label next, in the order of selection.

    Args:
        strategy: a name, as in ``conf/strategy``, or an object with ``select``.
        size: b, the size of the batch.
        features: (P, D), of the whole pool; a bias column of ones is appended where the posterior
            has one column more.
        posterior: over the last layer's weights (C, D).
        labelled: (K,), positions that are labelled already; they are never chosen.
        labels: (K,), their class indices, for the strategies that look at them.
        batch: ``top_b`` picks the whole batch at once; ``sequential`` updates the model with the
            labels of ``every`` picks before it picks on.
        annotate: returns the class indices of positions in the pool, for ``sequential``.
        every: how many instances a sequential batch picks at a time.
        rule: the update between the picks of a sequential batch.
        gamma: step size of all updates.
        seed: of every random choice, or a generator.
        true_labels: (P,), for oracles: the class index of every instance.
        evaluation: for oracles: features (T, D) and class indices (T,) of an evaluation set.
        settings: of the strategy, as in ``conf/strategy/NAME.yaml``.

    Raises:
        ValueError: an argument is missing or wrong.

    Example:
        >>> import numpy as np
        >>> from alupdate.laplace.updates import fit
        >>> features = np.array([[3.0], [-0.1], [1.0], [-2.0]])
        >>> labelled, labels = [0, 3], [0, 1]
        >>> weights = torch.tensor([[1.0, 0.0], [-1.0, 0.0]])  # a slope and a bias for each class
        >>> rows = with_bias(torch.tensor(features[labelled], dtype=torch.float32))
        >>> posterior = fit(weights, rows, "gaussian", 1.0)
        >>> select("margin", 2, features=features, posterior=posterior, labelled=labelled)
        array([1, 2])
        >>> select("bait", 1, features=features, posterior=posterior, labelled=labelled,
        ...        labels=labels, fisher="binary", oversample=3).shape
        (1,)
    """
    with _as_value_errors():
        chooser = _strategy(strategy, settings)
        pool = _Pool.of(
            features, posterior, labelled, labels, getattr(chooser, "uses_labels", True)
        )
        _require_size(size, len(pool.candidates))
        between = update_rule(rule) if isinstance(rule, str) else rule
        query = pool.query(chooser, between, _positive(gamma), seed, true_labels, evaluation)
        if batch == "top_b":
            construction: TopBatch | SequentialBatch = TopBatch(name="top_b", size=size)
        elif batch != "sequential":
            raise ValueError(f"batch={batch!r}: must be 'top_b' or 'sequential'")
        elif annotate is None:
            raise ValueError("batch='sequential' needs annotate: positions to class indices")
        else:
            construction = SequentialBatch(name="sequential", size=size, every=every)
        positions = build_batch(
            _Checked(chooser, _name(strategy)),
            query,
            construction,
            between,
            lambda picked: pool.annotated(annotate, picked),
        )
        return pool.candidates[positions]


def utilities(
    strategy: str | Strategy,
    *,
    features: Rows,
    posterior: LastLayer,
    labelled: Sequence[int] | ArrayLike | None = None,
    labels: ArrayLike | None = None,
    rule: UpdateName | Rule = "second_order",
    gamma: float = 1.0,
    seed: Seed = 0,
    true_labels: ArrayLike | None = None,
    evaluation: Evaluation | None = None,
    **settings: Any,
) -> NDArray[np.floating]:
    """Return the utility (P,) of each instance of the pool for the first pick; higher is better.

    NaN marks labelled instances, and those that the strategy does not score. What the numbers are
    is in the documentation of the strategy's own ``utilities``. The arguments are those of
    ``select``.

    Raises:
        ValueError: an argument is missing or wrong, or the strategy has no utilities.

    Example:
        >>> from alupdate.laplace.updates import fit
        >>> features = torch.tensor([[3.0], [-0.1], [1.0]])
        >>> posterior = fit(torch.tensor([[1.0], [-1.0]]), features[:1], "gaussian", 1.0)
        >>> utilities("margin", features=features, posterior=posterior, labelled=[0]).round(2)
        array([ nan, 0.9 , 0.24], dtype=float32)
    """
    with _as_value_errors():
        chooser = _strategy(strategy, settings)
        scores = getattr(chooser, "utilities", None)
        if scores is None:
            raise ValueError(f"strategy={_name(strategy)}: does not score single instances")
        pool = _Pool.of(
            features, posterior, labelled, labels, getattr(chooser, "uses_labels", True)
        )
        between = update_rule(rule) if isinstance(rule, str) else rule
        query = pool.query(chooser, between, _positive(gamma), seed, true_labels, evaluation)
        values = scores(query).numpy(force=True)
        everywhere: NDArray[np.floating] = np.full(pool.size, np.nan, dtype=values.dtype)
        everywhere[pool.candidates] = values
        return everywhere


@contextmanager
def _as_value_errors() -> Iterator[None]:
    """Raise ValueError, which Python users expect, for what the command calls wrong input."""
    try:
        yield
    except InputError as error:
        raise ValueError(str(error)) from error


def _strategy(strategy: str | Strategy, settings: dict[str, Any]) -> Strategy:
    """Return the strategy of a name with its settings, or the object itself."""
    if not isinstance(strategy, str):
        if not callable(getattr(strategy, "select", None)):
            raise ValueError(f"strategy={strategy!r}: must be a name or an object with select")
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
        answer = self.strategy.select(query, size)
        return checked(answer, query, size, f"strategy={self.name}")


@dataclass(frozen=True)
class _Pool:
    """A pool whose arguments have been checked.

    Attributes:
        posterior: over the last layer's weights.
        size: P.
        features: (F, D), of the candidates.
        candidates: (F,), their positions in the pool, ascending.
        known_features: (K, D), of the labelled instances.
        known_labels: (K,), -1 where they are not given and nobody looks at them.
    """

    posterior: LastLayer
    size: int
    features: Tensor
    candidates: Positions
    known_features: Tensor
    known_labels: Tensor

    @classmethod
    def of(
        cls,
        features: Rows,
        posterior: LastLayer,
        labelled: Sequence[int] | ArrayLike | None,
        labels: ArrayLike | None,
        uses_labels: bool,
    ) -> "_Pool":
        """Check the arguments.

        Raises:
            ValueError: one of them is missing or wrong.
        """
        rows = _features("features", features, posterior)
        known = _positions(labelled, len(rows))
        if labels is not None:
            classes = _classes("labels", labels, len(known), posterior)
        elif len(known) and uses_labels:
            raise ValueError("labels: this strategy looks at the class indices of what is labelled")
        else:
            classes = torch.full((len(known),), -1, device=rows.device)
        candidates = np.setdiff1d(np.arange(len(rows)), known)
        if not len(candidates):
            raise ValueError("labelled: leaves no candidates in the pool")
        return cls(posterior, len(rows), rows[candidates], candidates, rows[known], classes)

    def query(
        self,
        strategy: Strategy,
        rule: Rule,
        gamma: float,
        seed: Seed,
        true_labels: ArrayLike | None,
        evaluation: Evaluation | None,
    ) -> Query:
        """Return the query at the start of a batch.

        Raises:
            ValueError: the strategy is an oracle, and what it must see is missing or wrong.
        """
        oracle = None
        if strategy.needs_oracle:
            oracle = self._oracle(true_labels, evaluation)
        if isinstance(strategy, StrategyOption) and strategy.hypothetical_update is not None:
            rule = update_rule(strategy.hypothetical_update)
        return Query.of(
            self.posterior,
            self.features,
            self.known_features,
            self.known_labels,
            seed=seed,
            gamma=gamma,
            rule=rule,
            oracle=oracle,
        )

    def _oracle(self, true_labels: ArrayLike | None, evaluation: Evaluation | None) -> Oracle:
        if true_labels is None or evaluation is None:
            raise ValueError(
                "the strategy is an oracle: it needs true_labels, the class index of every "
                "instance of the pool, and evaluation, features and class indices of other ones"
            )
        truth = _classes("true_labels", true_labels, self.size, self.posterior)
        points = _features("evaluation", evaluation[0], self.posterior)
        targets = _classes("evaluation", evaluation[1], len(points), self.posterior)
        return Oracle(truth[self.candidates], points, targets)

    def annotated(
        self, annotate: Callable[[Positions], ArrayLike] | None, picked: Positions
    ) -> Tensor:
        """Return the class indices (b,) of candidates (b,)."""
        assert annotate is not None  # only a sequential batch asks
        answer = annotate(self.candidates[picked])
        return _classes("annotate", answer, len(picked), self.posterior)


def _features(key: str, values: Rows, posterior: LastLayer) -> Tensor:
    """Return features (N, D) as the posterior's weights are, with its bias column.

    Raises:
        ValueError: they are no finite matrix of its dimension.
    """
    mean = getattr(posterior, "mean", None)
    if not isinstance(mean, Tensor):
        raise ValueError("posterior: must be a posterior over a last layer's weights")
    try:
        rows = torch.as_tensor(values).detach().to(mean)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"{key}: must be a matrix of numbers") from error
    if rows.ndim != 2 or not len(rows):
        raise ValueError(f"{key}: must have shape (N, D), not {tuple(rows.shape)}")
    if rows.shape[1] + 1 == mean.shape[1]:
        rows = with_bias(rows)
    if rows.shape[1] != mean.shape[1]:
        raise ValueError(
            f"{key}: {rows.shape[1]} columns, but the posterior has {mean.shape[1]} (bias included)"
        )
    wrong = (~torch.isfinite(rows)).any(dim=1).nonzero()
    if len(wrong):
        raise ValueError(f"{key}: row {int(wrong[0])} has a number that is not finite")
    return rows


def _integers(key: str, values: Any) -> NDArray[np.int64]:
    """Return a vector of integers.

    Raises:
        ValueError: it is none.
    """
    array = values.numpy(force=True) if isinstance(values, Tensor) else np.asarray(values)
    if array.ndim != 1 or (len(array) and array.dtype.kind not in "iu"):
        raise ValueError(f"{key}: must be a vector of integers, not {array.dtype} {array.shape}")
    return array.astype(np.int64)


def _positions(labelled: Any, size: int) -> NDArray[np.int64]:
    known = _integers("labelled", () if labelled is None else labelled)
    if len(known) and not 0 <= known.min() <= known.max() < size:
        raise ValueError(f"labelled: must be positions from 0 to {size - 1}")
    if len(np.unique(known)) < len(known):
        raise ValueError("labelled: names a position twice")
    return known


def _classes(key: str, values: Any, count: int, posterior: LastLayer) -> Tensor:
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


def _require_size(size: int, available: int) -> None:
    if not isinstance(size, int | np.integer) or not 1 <= size <= available:
        raise ValueError(f"size={size}: must be from 1 to {available}, the number of candidates")


def _positive(gamma: float) -> float:
    if not 0 < gamma < np.inf:
        raise ValueError(f"gamma={gamma}: must be greater than 0")
    return gamma
