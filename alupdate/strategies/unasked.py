"""Batches of picks that a GPU is waited for once, when they are complete.

On a CPU a question costs nothing, and the answer saves work. On a GPU whoever asks waits for all
that was asked for before. So a batch is built there from what its steps usually find, their
assumptions are checked together with the transfer of the picks, and only where one was wrong is the
batch built again by asking.
"""

from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator
from itertools import islice

import torch
from torch import Tensor
from typing_extensions import override

from alupdate.laplace.tiles import Assumptions, is_accelerator
from alupdate.strategies.base import GreedyStrategy, Positions, Query

_FIRST_LOOK = 32
"""At how many of the largest bounds a pick looks first; then at twice as many, and so on."""

_SORTED = 31 * _FIRST_LOOK
"""How many of the largest bounds are sorted at a time: five looks take no longer than one."""

_ONLY_LOOK = 2**12
"""At how many of the largest bounds a pick looks if it cannot ask whether these are enough."""


def picked(query: Query, build: Callable[[Assumptions | None], Iterable[Tensor]]) -> Positions:
    """Return positions (b,), of which a GPU is asked once if all is as usual.

    Args:
        query: about whose candidates.
        build: gives the positions, each a tensor of one number; from no assumptions where it may
            ask.
    """
    if is_accelerator(query.features.device):
        assumed, state = Assumptions(), query.rng.bit_generator.state
        picks = [pick.reshape(()) for pick in build(assumed)]
        found = torch.stack([*picks, assumed.hold(query.picked)]).numpy(force=True)
        if found[-1]:
            return found[:-1]
        query.rng.bit_generator.state = state
    picks = [pick.reshape(()) for pick in build(None)]
    return torch.stack([query.picked.new_zeros(()), *picks]).numpy(force=True)[1:]


class UnaskedGreedy(GreedyStrategy):
    """A strategy that builds its batch greedily, and can do so without asking the device."""

    @override
    @abstractmethod
    def picks(self, query: Query, assumed: Assumptions | None = None) -> Iterator[Tensor]:
        """Yield free positions, each once, for as long as there are any.

        Args:
            query: the state at the start of the batch.
            assumed: is told what the picks rest on; None to ask.
        """

    @override
    def select(self, query: Query, size: int) -> Positions:
        return picked(query, lambda assumed: islice(self.picks(query, assumed), size))


def refresh_largest(
    bounds: Tensor,
    exact: Callable[[Tensor], Tensor],
    share: float = 1.0,
    assumed: Assumptions | None = None,
) -> None:
    """Replace upper bounds (P,) by exact values, in place, until no other can be the largest.

    Only what may be at least ``share`` of the largest value is looked at: a few at first, and twice
    as many each time that the rest may still hold it [Minoux1978]. A bound of 0 or less is exact.

    Args:
        bounds: none is below its exact value.
        exact: from positions (R,) to the exact values (R,).
        share: up to 1.
        assumed: is told that ``_ONLY_LOOK`` are enough; None to ask.
    """
    if assumed is not None:
        front = bounds.topk(min(_ONLY_LOOK, len(bounds)))
        values = torch.where(front.values > 0, exact(front.indices), front.values)
        bounds.index_copy_(0, front.indices, values)
        if len(values) < len(bounds):
            rest = front.values[-1]
            assumed.add((rest <= 0) | (rest < share * values.max()))
        return
    best = 0.0
    for upper, places in _looks(bounds):
        asked = places[(upper >= share * best) & (upper > 0)]
        if not len(asked):
            return
        values = exact(asked)
        bounds[asked] = values
        best = max(best, float(values.max()))


def _looks(bounds: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield all bounds (P,) and their positions, the largest first, more each time.

    They are those from before the first look.
    """
    stale, seen, look = bounds.clone(), 0, _FIRST_LOOK
    while seen < len(stale):
        front = stale.topk(min(max(look, _SORTED), len(stale) - seen))
        stale[front.indices] = -torch.inf
        start, seen = 0, seen + len(front.indices)
        while start < len(front.indices):
            part = slice(start, start + look)
            yield front.values[part], front.indices[part]
            start, look = start + look, 2 * look
