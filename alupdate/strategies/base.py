"""Query strategies: their queries and their answers."""

from abc import abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from typing import Any, ClassVar, Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic.dataclasses import dataclass as option
from torch import Tensor
from typing_extensions import override

from alupdate.config.options import Option
from alupdate.config.values import SETTINGS, UpdateName
from alupdate.laplace.posterior import LastLayerPosterior, variances_after
from alupdate.laplace.rules import UpdateResult, UpdateRule
from alupdate.laplace.tiles import is_accelerator
from alupdate.utils.errors import InputError

Positions = NDArray[np.int64]
EvaluationSet = Literal["test", "holdout", "pool"]
KEPT_LOGITS = 2**25
"""How many logits of the candidates are kept in memory at most; more are computed when needed."""

LOGITS_AT_ONCE = 2**22
"""How many logits are computed together where they are not kept."""

Retrain = Callable[[Tensor, Tensor], Tensor]
"""Features (N, D) and class indices (N,) -> the weights (C, D) of a last layer trained on them."""


@dataclass(frozen=True)
class Oracle:
    """True labels that no annotator has given: only an upper baseline may see them.

    Attributes:
        candidate_labels: (P,), true labels of the candidates.
        features: (T, D), of the evaluation set.
        labels: (T,), true labels of the evaluation set.
    """

    candidate_labels: Tensor
    features: Tensor
    labels: Tensor


@dataclass(frozen=True)
class Query:
    """The state of the model and of P candidates when a strategy is asked.

    A strategy mostly reads ``features``, ``logits`` and ``variances`` of the candidates,
    ``labelled_features`` and ``labelled_labels``, ``free()`` and ``rng``. ``known`` instances were
    labelled before the batch; ``picked`` candidates are in the batch, with their labels;
    ``labelled`` are both.

    Attributes:
        features: (P, D), of the candidates, bias column included.
        kept_logits: (P, C), of the candidates under the current model; None where these are too
            many numbers to be kept.
        posterior: over the last layer's weights.
        known_features: (K, D).
        known_labels: (K,), class indices.
        picked: (t,), positions among the candidates, in order.
        picked_labels: (t,), class indices.
        gamma: step size of hypothetical updates.
        rng: the source of every random choice.
        rule: the update rule of hypothetical updates, for strategies that make them.
        oracle: for strategies with ``needs_oracle``.
        retrain: trains a last layer as the run does, for strategies that judge by it.
        unlabelable: (U, D), of instances that were asked about and that nobody could label.

    Example:
        >>> import torch
        >>> from alupdate.laplace.updates import fit
        >>> features = torch.tensor([[2.0, 1.0], [-2.0, 1.0], [0.1, 1.0]])  # the last is the bias
        >>> weights = torch.tensor([[1.0, 0.0], [-1.0, 0.0]])
        >>> query = Query.of(fit(weights, features[:2], "gaussian", 1.0), features)
        >>> query.logits.shape, query.variances.shape, query.free()
        (torch.Size([3, 2]), torch.Size([3, 1]), array([0, 1, 2]))
    """

    features: Tensor
    kept_logits: Tensor | None
    posterior: LastLayerPosterior
    known_features: Tensor
    known_labels: Tensor
    picked: Tensor
    picked_labels: Tensor
    gamma: float
    rng: np.random.Generator
    rule: UpdateRule | None = None
    oracle: Oracle | None = None
    retrain: Retrain | None = None
    unlabelable: Tensor | None = None

    @classmethod
    def of(
        cls,
        posterior: LastLayerPosterior,
        features: Tensor,
        known_features: Tensor | None = None,
        known_labels: Tensor | None = None,
        *,
        seed: int | np.random.Generator = 0,
        gamma: float = 1.0,
        rule: UpdateRule | None = None,
        oracle: Oracle | None = None,
        retrain: Retrain | None = None,
        unlabelable: Tensor | None = None,
    ) -> "Query":
        """Return the query at the start of a batch.

        Args:
            posterior: over the last layer's weights (C, D).
            features: (P, D), of the candidates, bias column included.
            known_features: (K, D), of the labelled instances; None for none.
            known_labels: (K,), their class indices.
            seed: of ``rng``, or the generator itself.
            gamma, rule, oracle, retrain, unlabelable: see the attributes.
        """
        nothing = torch.zeros(0, dtype=torch.int64, device=features.device)
        return cls(
            features=features,
            kept_logits=_logits_if_few(posterior, features),
            posterior=posterior,
            known_features=features[:0] if known_features is None else known_features,
            known_labels=nothing if known_labels is None else known_labels,
            picked=nothing,
            picked_labels=nothing,
            gamma=gamma,
            rng=np.random.default_rng(seed),
            rule=rule,
            oracle=oracle,
            retrain=retrain,
            unlabelable=unlabelable,
        )

    @property
    def n_classes(self) -> int:
        """C."""
        return len(self.posterior.mean)

    @property
    def logits(self) -> Tensor:
        """(P, C), of the candidates under the current model.

        They may not fit into memory: ``chunks`` and ``map_logits`` have a few at a time.
        """
        if self.kept_logits is None:
            return self.posterior.logits(self.features)
        return self.kept_logits

    def logits_at(self, positions: Tensor) -> Tensor:
        """Return the logits (*, C) of the candidates at positions of any shape (*)."""
        if self.kept_logits is not None:
            return self.kept_logits[positions]
        logits = self.posterior.logits(self.features[positions.flatten()])
        return logits.view(*positions.shape, self.n_classes)

    def chunks(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield features (R, D) and logits (R, C) of a few candidates after the other, in order.

        All come at once where the logits are kept.
        """
        if self.kept_logits is not None:
            yield self.features, self.kept_logits
            return
        for part in torch.split(self.features, max(1, LOGITS_AT_ONCE // self.n_classes)):
            yield part, self.posterior.logits(part)

    def map_logits(self, function: Callable[[Tensor], Tensor]) -> Tensor:
        """Return what a function from logits (R, C) to (R, *) gives for all candidates (P, *).

        It is called with a few candidates after the other, so that it must not mix candidates. Each
        result is written into one tensor: small ones that stay between the logits of two chunks
        would leave holes in the memory.
        """
        if self.kept_logits is not None:
            return function(self.kept_logits)
        found, start = torch.empty(0), 0
        for _, logits in self.chunks():
            values = function(logits)
            if not start:
                found = values.new_empty(len(self.features), *values.shape[1:])
            found[start : start + len(values)] = values
            start += len(values)
        return found

    @cached_property
    def taken(self) -> Tensor:
        """(P,), True for candidates that are already in the batch."""
        mask = torch.zeros(len(self.features), dtype=torch.bool, device=self.features.device)
        mask[self.picked] = True
        return mask

    @cached_property
    def labelled_features(self) -> Tensor:
        """(K + t, D), of the labelled instances, the batch's own included."""
        if not len(self.picked):
            return self.known_features
        return torch.cat([self.known_features, self.features[self.picked]])

    @cached_property
    def asked_features(self) -> Tensor:
        """(K + t + U, D), of the labelled instances, then of those that nobody could label.

        What asking covers: nothing is gained by asking about a neighbour of either.
        """
        if self.unlabelable is None:
            return self.labelled_features
        return torch.cat([self.labelled_features, self.unlabelable])

    @cached_property
    def labelled_labels(self) -> Tensor:
        """(K + t,), class indices of the labelled instances, the batch's own included."""
        return torch.cat([self.known_labels, self.picked_labels])

    @cached_property
    def variances(self) -> Tensor:
        """(P, K), phi^T Sigma_k phi of the candidates: the posterior variance of their logits."""
        return self.posterior.variances(self.features)

    @cached_property
    def products(self) -> Tensor:
        """(P, t), inner products of the candidates' features with those already in the batch."""
        return self.features @ self.features[self.picked].T

    def free(self) -> Positions:
        """Return the positions (F,) of the candidates that may still be chosen."""
        return np.flatnonzero(~self.taken.numpy(force=True))

    def after(self, positions: Tensor, labels: Tensor, update: UpdateResult) -> "Query":
        """Return the state after an update with candidates at positions (b,) and labels (b,).

        Everything changes by terms of rank b, O(P D) per label. ``variances`` and ``products`` are
        refreshed if they have been asked for, and otherwise stay to be computed when they are.
        """
        rows, kept = self.features[positions], self.kept_logits
        query = replace(
            self,
            kept_logits=None if kept is None else update.new_logits(kept, self.features),
            posterior=update.posterior,
            picked=torch.cat([self.picked, positions]),
            picked_labels=torch.cat([self.picked_labels, labels]),
        )
        known = vars(self)
        if "variances" in known:
            vars(query)["variances"] = variances_after(
                self.variances, self.features, self.posterior, rows, update.added_precision
            )
        if "products" in known:
            vars(query)["products"] = torch.cat([self.products, self.features @ rows.T], dim=1)
        return query

    def subset(self, positions: Positions) -> "Query":
        """Return the query about the candidates at distinct free positions (R,) alone.

        They come in the given order, and those that are already in the batch after them. So what a
        strategy picks are indices of ``positions``. The generator is this query's.

        Example:
            >>> import torch
            >>> from alupdate.laplace.updates import fit
            >>> features = torch.tensor([[2.0, 1.0], [-2.0, 1.0], [0.1, 1.0]])
            >>> query = Query.of(fit(torch.zeros(2, 2), features[:1], "gaussian", 1.0), features)
            >>> query.subset(np.array([2, 0])).features[:, 0]
            tensor([0.1000, 2.0000])
        """
        kept = torch.cat([torch.from_numpy(positions).to(self.picked), self.picked])
        batch = torch.arange(len(positions), len(kept), device=kept.device)
        oracle = self.oracle and replace(
            self.oracle, candidate_labels=self.oracle.candidate_labels[kept]
        )
        features, logits = self.features[kept], self.kept_logits
        query = replace(
            self,
            features=features,
            kept_logits=(
                _logits_if_few(self.posterior, features) if logits is None else logits[kept]
            ),
            picked=batch,
            oracle=oracle,
        )
        for name in ("variances", "products"):
            if name in vars(self):
                vars(query)[name] = vars(self)[name][kept]
        return query


def _logits_if_few(posterior: LastLayerPosterior, features: Tensor) -> Tensor | None:
    """Return the logits (N, C) of features (N, D), or None where they are too many to be kept."""
    few = len(features) * len(posterior.mean) <= KEPT_LOGITS
    return posterior.logits(features) if few else None


class Strategy(Protocol):
    """Chooses instances to label.

    A strategy keeps no state between queries, changes nothing that it is given, and draws all its
    randomness from ``query.rng``. The same query then gives the same answer in any process.

    Example:
        >>> import torch
        >>> from alupdate.laplace.updates import fit
        >>> class Anything(Strategy):
        ...     def select(self, query, size):
        ...         return query.rng.permutation(query.free())[:size]
        >>> features = torch.tensor([[2.0, 1.0], [-3.0, 1.0], [0.1, 1.0]])
        >>> query = Query.of(fit(torch.zeros(2, 2), features[:1]), features)
        >>> len(Anything().select(query, 2))
        2
    """

    @property
    def needs_oracle(self) -> bool:
        """Whether it must see labels that no annotator has given, as an upper baseline does."""
        return False

    @abstractmethod
    def select(self, query: Query, size: int) -> Positions:
        """Return ``size`` distinct free positions among the candidates, best first."""
        ...


class ScoringStrategy(Strategy):
    """A strategy that scores the candidates one by one, and picks those of highest utility.

    A subclass gives ``utilities``. Batches at once, sequential batches and the view of the scores
    follow. A subclass whose batches are more than the highest scores overrides ``select``; its
    ``utilities`` are then those of the first pick.

    Example:
        >>> import torch
        >>> from alupdate.laplace.updates import fit
        >>> class Longest(ScoringStrategy):
        ...     def utilities(self, query):
        ...         return query.features.square().sum(dim=1)
        >>> features = torch.tensor([[2.0, 1.0], [-3.0, 1.0], [0.1, 1.0]])
        >>> query = Query.of(fit(torch.zeros(2, 2), features[:1], "gaussian", 1.0), features)
        >>> Longest().select(query, 2)
        array([1, 0])
    """

    @abstractmethod
    def utilities(self, query: Query) -> Tensor:
        """Return the utility (P,) of each candidate for the next pick; higher is better.

        NaN marks a candidate that the strategy does not score. Those that are already in the batch
        are not looked at.
        """

    @override
    def select(self, query: Query, size: int) -> Positions:
        return best(self.utilities(query), query, size)


class GreedyStrategy(Strategy):
    """A strategy that builds its batch greedily: each pick is the best one given those before."""

    @abstractmethod
    def picks(self, query: Query) -> Iterator[int | Tensor]:
        """Yield free positions, each once, for as long as there are any.

        As tensors without a dimension where they are on a device: then nothing waits for a pick
        before the batch is complete.
        """

    @override
    def select(self, query: Query, size: int) -> Positions:
        picks = list(islice(self.picks(query), size))
        if not all(isinstance(pick, Tensor) for pick in picks) or not picks:
            return np.array([int(pick) for pick in picks], dtype=np.int64)
        return torch.stack([torch.as_tensor(pick) for pick in picks]).numpy(force=True)


@option(frozen=True, config=SETTINGS, kw_only=True)
class StrategyOption(Option, Strategy):
    """A strategy of the group ``strategy``: its fields are its settings.

    A module in this package and a file ``conf/strategy/NAME.yaml`` make a strategy; nothing else
    lists them. Subclasses are frozen dataclasses that also give ``select``, or derive it from
    ``ScoringStrategy`` or ``GreedyStrategy``.
    """

    group: ClassVar[str] = "strategy"
    uses_labels: ClassVar[bool] = False
    """Whether ``select`` looks at the class indices of labelled instances."""
    signed: ClassVar[bool | None] = False
    """Whether ``utilities`` may be below zero by more than rounding; None where nobody knows."""

    @property
    def hypothetical_update(self) -> UpdateName | None:
        """The update rule that the strategy expects as ``query.rule``."""
        return None

    @property
    def evaluation_set(self) -> EvaluationSet:
        """The instances whose true labels an oracle is given."""
        return "test"

    @property
    def n_holdout(self) -> int:
        """How many instances of the pool are set aside for ``evaluation_set`` alone."""
        return 0

    def load(self) -> None:
        """Load what the strategy needs from outside the package, before a run writes anything.

        Raises:
            InputError: it is missing or cannot be used.
        """

    def try_out(self, classes: int, labelled: int, candidates: int, size: int) -> None:
        """Find out on made-up data whether a library's strategy works, before a run needs it.

        Args:
            classes, labelled, candidates: how many the first query has.
            size: of a batch.

        Raises:
            InputError: it is missing or does not work.
        """


def best(utilities: Tensor, query: Query, size: int) -> Positions:
    """Return the ``size`` free positions of highest utility (P,); ties go to the first."""
    return best_places(utilities, query, size).numpy(force=True)


def best_places(utilities: Tensor, query: Query, size: int) -> Tensor:
    """Return what ``best`` does, on the device.

    On a CPU, only what may be among them is sorted: all that is not below the last of them. To find
    these on a GPU would take longer than to sort.
    """
    masked = utilities.index_fill(0, query.picked, -torch.inf)
    if size == 1:
        return masked.argmax().reshape(1)  # the first of equals, by its contract
    if is_accelerator(masked.device):
        return torch.sort(masked, descending=True, stable=True).indices[:size]
    last = masked.topk(size).values[-1]
    front = torch.logical_not(masked < last).nonzero()[:, 0]
    order = torch.sort(masked[front], descending=True, stable=True).indices
    return front[order[:size]]


def without(values: Tensor, place: Tensor) -> Tensor:
    """Return values (N - 1, *) without the one at a place, a tensor that nobody waits for."""
    kept = torch.arange(len(values) - 1, device=values.device)
    return values[kept + (kept >= place)]


def sample_of_candidates(query: Query, count: int) -> Tensor:
    """Return the features (T, D) of at most ``count`` candidates, drawn without replacement."""
    sample = query.rng.permutation(len(query.features))[:count]
    return query.features[torch.from_numpy(sample).to(query.features.device)]


def scattered(query: Query, positions: Tensor, values: Tensor) -> Tensor:
    """Return values (R,) at positions (R,) among the candidates, and NaN at the others (P,)."""
    return values.new_full((len(query.features),), torch.nan).index_copy(0, positions, values)


def after_labels(query: Query, picked: Positions, labels: Tensor, rule: UpdateRule) -> Query:
    """Return the query's state after the model was updated with the labels of ``picked``."""
    positions = torch.from_numpy(picked).to(query.features.device)
    rows = query.features[positions]
    return query.after(positions, labels, rule.apply(query.posterior, rows, labels, query.gamma))


def checked(answer: Any, query: Query, size: int, source: str) -> Positions:
    """Return the answer if it is ``size`` distinct free positions.

    Args:
        answer: what a strategy's ``select`` gave.
        query: what it was asked.
        size: how many positions it was asked for.
        source: the setting that chose the strategy, for the complaint.

    Raises:
        InputError: the answer would corrupt the run.
    """
    positions = np.asarray(answer)
    if positions.shape != (size,) or positions.dtype.kind not in "iu":
        problem = f"shape {positions.shape} and type {positions.dtype}, not {size} integers"
    elif len(np.unique(positions)) < size:
        problem = "the same position twice"
    elif not np.isin(positions, query.free()).all():
        problem = "a position that is taken or beyond the candidates"
    else:
        return positions.astype(np.int64)
    raise InputError(f"{source}: select returned {problem}")
