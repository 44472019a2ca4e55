"""BAIT: batches that leave as little as possible of the pool's Fisher information unseen."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from pydantic.dataclasses import dataclass as option
from torch import Tensor
from typing_extensions import override

from alupdate.config.values import SETTINGS, Count, Positive
from alupdate.laplace.binary_fisher import Unseen, binary_weights
from alupdate.laplace.fisher import Information, inverse, inverse_bytes, multiclass
from alupdate.laplace.tiles import Assumptions, at_once, cholesky_factor
from alupdate.strategies.base import Positions, Query, ScoringStrategy, StrategyOption, without
from alupdate.strategies.unasked import picked
from alupdate.utils.errors import InputError

LARGEST_BYTES = 6 * 2**30
"""The largest inverse that is attempted."""

_POOL_BLOCKS = 4
"""How many matrices (C, C) each candidate has: two factors, and its blocks of two inverses."""

_BINARY_MATRICES = 5
"""How many matrices (D, D) the binary approximation has in memory at once."""

_CHUNK_NUMBERS = 2**24
"""How many numbers the small matrices of the candidates that are scored together may have."""


@option(frozen=True, config=SETTINGS, kw_only=True)
class Bait(StrategyOption, ScoringStrategy):
    """BAIT: batches that minimise tr(M^-1 F) of the Fisher information [Ash2021].

    F is the Fisher information of all candidates, M that of the labelled instances and the batch,
    plus ``regularisation`` on the diagonal; both are plain sums. Candidates are added greedily,
    until there are ``oversample`` batches of them, and then taken away, the least useful first. The
    utility is by how much a candidate lowers tr(M^-1 F).

    Nothing of size (C D)^2 is updated on the way. All that a candidate's gain needs of M^-1 and of
    M^-1 F M^-1 are its own C x C blocks, and a pick changes these by terms of rank C:

        M'^-1        = M^-1 -+ G G^T,                   G = M^-1 V (chol(I +- V^T M^-1 V))^-T
        M'^-1 F M'^-1 = M^-1 F M^-1 -+ (G Y^T + Y G^T),  Y = M^-1 F G -+ G (G^T F G) / 2

    (upper signs: V is added; lower: taken away), in O(P C^2 (D + C)). ``fisher="binary"`` keeps the
    predicted class against the rest only [Huseljic2024]: C = 1, in O(P D^2) for a batch and O(P D)
    per pick, a block of picks at a time, and no copy of the features (``laplace.binary_fisher``).

    Attributes:
        fisher: the Fisher information of all classes, or of one class against the rest.
        oversample: how many batches are picked before the worst picks are dropped.
        regularisation: added to the diagonal of the Fisher information.
    """

    name: Literal["bait"] = "bait"
    fisher: Literal["multiclass", "binary"] = "multiclass"
    oversample: Count = 2
    regularisation: Positive = 1.0

    @override
    def utilities(self, query: Query) -> Tensor:
        if self.fisher == "binary":
            return self._unseen(query).gains()
        everyone = torch.arange(len(query.features), device=query.features.device)
        return self._start(query).gains(1, everyone, None)

    @override
    def select(self, query: Query, size: int) -> Positions:
        if self.fisher == "binary":
            return self._binary_batch(query, size)
        return picked(query, lambda assumed: self._multiclass_batch(query, size, assumed))

    def _multiclass_batch(
        self, query: Query, size: int, assumed: Assumptions | None
    ) -> Iterable[Tensor]:
        """Return ``size`` positions; ``assumed`` is told that no matrix was singular."""
        state = self._start(query)
        free = torch.from_numpy(query.free()).to(query.features.device)
        batch = free[:0]
        for _ in range(min(self.oversample * size, len(free))):
            most = state.gains(1, free, assumed).argmax(dim=0, keepdim=True)
            pick, free = free[most], without(free, most)
            batch = torch.cat([batch, pick])
            state = state.changed(pick, 1, assumed)
        while len(batch) > size:
            least = state.gains(-1, batch, assumed).argmin(dim=0, keepdim=True)
            dropped, batch = batch[least], without(batch, least)
            if len(batch) > size:
                state = state.changed(dropped, -1, assumed)
        return batch

    def _binary_batch(self, query: Query, size: int) -> Positions:
        """Return the batch of the binary approximation; those taken away are among few."""
        free = ~query.taken
        count = min(self.oversample * size, int(free.sum()))
        picks, state = self._unseen(query).greedy(free, count)
        few, left = state.few(torch.tensor(picks, device=free.device)), np.ones(count, dtype=bool)
        for _ in range(count - size):
            dropped = int(np.where(left, few.gains(-1), np.inf).argmin())
            left[dropped] = False
            few.change(dropped, -1)
        kept: Positions = np.array(picks, dtype=np.int64)[left]
        return kept

    def _unseen(self, query: Query) -> Unseen:
        """Return the state of the binary approximation before the first pick.

        Raises:
            InputError: the matrices would not fit into memory.
        """
        known = query.labelled_features
        rows = min(query.features.shape[1], len(query.features) + len(known))
        needed = _BINARY_MATRICES * 8 * rows**2
        if needed > LARGEST_BYTES:
            raise InputError(
                f"strategy=bait: the binary Fisher information of {rows} features would take "
                f"{needed / 2**30:.0f} GiB; use a backbone with fewer features, or another strategy"
            )
        weights = query.map_logits(binary_weights)
        known_weights = binary_weights(query.posterior.logits(known))
        return Unseen.of(query.features, weights, known, known_weights, self.regularisation)

    def _start(self, query: Query) -> "_State":
        """Return the state before the first pick.

        Raises:
            InputError: the matrices would not fit into memory.
        """
        known = query.labelled_features
        _check_multiclass(_POOL_BLOCKS * 8 * len(query.features) * query.n_classes**2)
        pool = multiclass(query.features, query.logits)
        labelled = multiclass(known, query.posterior.logits(known))
        _check_multiclass(inverse_bytes(labelled, pool))
        start = inverse(labelled, pool, self.regularisation)
        return _State(pool, start.apply, (), start.own, start.missing)


def _check_multiclass(needed: float) -> None:
    """Complain if the multiclass information needs more bytes than are attempted."""
    if needed > LARGEST_BYTES:
        raise InputError(
            f"strategy=bait: the multiclass Fisher information would take "
            f"{needed / 2**30:.0f} GiB; use strategy.fisher=binary"
        )


@dataclass(frozen=True)
class _State:
    """M^-1 and M^-1 F M^-1, as far as picks and gains need them.

    Attributes:
        pool: the candidates' information.
        start: X -> M^-1 X before the first pick.
        terms: (sign, G) of every change since: 1 added, -1 taken away.
        own: (P, C, C), phi^T (M^-1)_cc' phi.
        missing: (P, C, C), phi^T (M^-1 F M^-1)_cc' phi.
    """

    pool: Information
    start: Callable[[Tensor], Tensor]
    terms: tuple[tuple[int, Tensor], ...]
    own: Tensor
    missing: Tensor

    def gains(self, sign: int, positions: Tensor, assumed: Assumptions | None) -> Tensor:
        """Return how much tr(M^-1 F) falls (1: added) or rises (-1: taken away) by each (R,).

        tr((I +- B^T own B)^-1 B^T missing B). ``assumed`` is told that the inverses exist.
        """
        factors = self.pool.factors
        size = max(1, at_once(factors, _CHUNK_NUMBERS) // factors[0].numel())
        parts = []
        for part in torch.split(positions, size):
            sides = factors[part]
            inner = sign * (sides.mT @ self.own[part] @ sides)
            inner.diagonal(dim1=1, dim2=2).add_(1)
            right = sides.mT @ self.missing[part] @ sides
            if assumed is None:
                solved = torch.linalg.solve(inner, right)
            else:
                solved, failed = torch.linalg.solve_ex(inner, right)
                assumed.add((failed == 0).all())
            parts.append(solved.diagonal(dim1=1, dim2=2).sum(dim=1))
        return torch.cat(parts)

    def apply(self, matrix: Tensor) -> Tensor:
        """Return M^-1 X for X (C, D, r)."""
        result, columns = self.start(matrix), matrix.flatten(0, 1)
        for sign, term in self.terms:
            flat = term.flatten(0, 1)
            result -= sign * (flat @ (flat.T @ columns)).view_as(matrix)
        return result

    def changed(self, position: Tensor, sign: int, assumed: Assumptions | None) -> "_State":
        """Return the state after the candidate at a position (1,) was added (1) or removed (-1)."""
        one = self.pool.at(position)
        side = one.factors[0]
        inner = sign * (side.T @ self.own[position][0] @ side)
        inner.diagonal().add_(1)
        columns = self.apply(one.spread())
        factor = cholesky_factor(inner, assumed)
        flat = columns.flatten(0, 1)
        term = torch.linalg.solve_triangular(factor, flat.T, upper=False).T.view_as(columns)
        seen = self.pool.apply(term)
        inner_term = term.flatten(0, 1).T @ seen.flatten(0, 1)
        half = self.apply(seen) - (sign / 2) * (term @ inner_term)
        rows = self.pool.features
        first, second = ((rows @ part).transpose(0, 1) for part in (term, half))
        mixed = first @ second.mT
        return replace(
            self,
            terms=(*self.terms, (sign, term)),
            own=self.own - sign * (first @ first.mT),
            missing=self.missing - sign * (mixed + mixed.mT),
        )
