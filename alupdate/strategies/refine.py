"""REFINE: several strategies clean the pool, and another one picks from what is left."""

from dataclasses import MISSING, fields
from functools import cached_property
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field
from pydantic.dataclasses import dataclass
from typing_extensions import override

from alupdate.config.options import make_option, options
from alupdate.config.values import SETTINGS, Count, Share, Text, UpdateName
from alupdate.strategies.base import Positions, Query, StrategyOption
from alupdate.strategies.ensemble import from_a_subset
from alupdate.utils.errors import InputError, suggestion


@dataclass(frozen=True, config=SETTINGS, kw_only=True)
class Refine(StrategyOption):
    """REFINE: progressive filtering by an ensemble of strategies [Huseljic2026].

    In each of ``n_rounds`` rounds every member proposes n_batches / len(members) batches (rounded
    down, one at least), each from a random subset of the pool of its own. The pool of the next
    round is their union. The strategy ``final`` picks the batch from the last pool. Members and
    ``final`` have their default settings.

    A subset has a ``share`` of the pool, ``largest_subset`` candidates at most and as many as the
    batch at least. In the authors' code the first subsets have 5,000 candidates whatever the size
    of the pool, and only later ones are a share of it. With 1,000 candidates these would be the
    whole pool, and a member without random choices would propose the same batch every time; with
    12,500 candidates or more both are the same. They also cut a pool down to 10,000 at random,
    which takes more than 100 batches of 100. Their members include BAIT and UHerding, and UHerding
    picks the batch.

    n_rounds n_batches queries of the members, and one of ``final``. In memory: one subset.

    Attributes:
        members: names of strategies; one named twice proposes twice as often.
        final: the name of the strategy that picks the batch.
        n_rounds: of filtering.
        n_batches: proposed in a round, by all members together.
        share: of the pool in a subset.
        largest_subset: candidates in a subset at most.
    """

    name: Literal["refine"] = "refine"
    uses_labels: ClassVar[bool] = True
    members: Annotated[tuple[Text, ...], Field(min_length=1)] = (
        "random", "margin", "badge", "typiclust", "alfamix", "dropquery"
    )  # fmt: skip
    final: Text = "alfamix"
    n_rounds: Count = 5
    n_batches: Count = 100
    share: Share = 0.4
    largest_subset: Count = 5000

    @override
    def check(self) -> None:
        expected = {s.name: s.hypothetical_update for s in (*self._ensemble, self._chooser)}
        updates = {name: update for name, update in expected.items() if update is not None}
        if len(set(updates.values())) > 1:
            raise InputError(
                f"strategy.members, strategy.final: {', '.join(updates)} expect different updates; "
                "keep those of one update"
            )

    @property
    @override
    def hypothetical_update(self) -> UpdateName | None:
        updates = (s.hypothetical_update for s in (*self._ensemble, self._chooser))
        return next((update for update in updates if update is not None), None)

    @override
    def select(self, query: Query, size: int) -> Positions:
        pool = query.free()
        each = max(1, self.n_batches // len(self.members))
        for _ in range(self.n_rounds):
            count = max(size, min(self.largest_subset, int(self.share * len(pool))))
            batches = list[Positions]()
            for member in self._ensemble:
                batches += [from_a_subset(member, query, pool, count, size) for _ in range(each)]
            pool = np.unique(np.concatenate(batches))
        return pool[self._chooser.select(query.subset(pool), size)]

    @cached_property
    def _ensemble(self) -> tuple[StrategyOption, ...]:
        return tuple(_member("strategy.members", name) for name in self.members)

    @cached_property
    def _chooser(self) -> StrategyOption:
        return _member("strategy.final", self.final)


def _member(key: str, name: str) -> StrategyOption:
    """Return a strategy with its default settings.

    Raises:
        InputError: there is none of that name, or it cannot be part of another one.
    """
    known = options("strategy")
    objection = _objection(name) if name in known else "no such strategy"
    if objection is not None:
        usable = sorted(other for other in known if _objection(other) is None)
        hint = "" if name in known else suggestion(name, usable)
        raise InputError(f"{key}={name}: {objection}; {hint}available: {', '.join(usable)}")
    made = make_option("strategy", {"name": name})
    assert isinstance(made, StrategyOption)
    return made


def _objection(name: str) -> str | None:
    """Return why a strategy cannot be part of another one; None if it can."""
    option = options("strategy")[name]
    if issubclass(option, Refine):
        return "cannot be part of itself"
    if any(f.default is MISSING and f.default_factory is MISSING for f in fields(option)):
        return "needs settings of its own"
    made = make_option("strategy", {"name": name})
    return "is an oracle" if isinstance(made, StrategyOption) and made.needs_oracle else None
