"""Plug-ins: strategies from outside the package."""

import importlib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from importlib.metadata import entry_points
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor
from typing_extensions import override

from alupdate.config.values import SETTINGS, OpenMapping, that_matches
from alupdate.strategies.base import (
    Positions,
    Query,
    ScoringStrategy,
    Strategy,
    StrategyOption,
    best,
    checked,
)
from alupdate.strategies.batches import checked_utilities
from alupdate.strategies.sources import module_sources
from alupdate.utils.errors import InputError, cannot_read, first_line

ENTRY_POINTS = "alupdate.strategies"
"""The entry-point group in which installed packages announce their strategies."""
NOTED = "__alupdate_sources__"
"""Where a module keeps the digests of its files from the time of its import."""

ModuleName = Annotated[
    str,
    Field(strict=True),
    that_matches(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", "must be a module, such as package.module"),
]


@dataclass(frozen=True, config=SETTINGS, kw_only=True)
class Plugin(StrategyOption):
    """A strategy of the user's own: what ``make_strategy(settings)`` of a module makes.

    The module is imported when the strategy is first asked for anything, or by ``load``. Its
    answers are checked before they are used.

    Attributes:
        module: the name of an entry point of an installed package, or else of a module that Python
            finds, in the current directory too.
        settings: handed to ``make_strategy``.
    """

    name: Literal["plugin"] = "plugin"
    uses_labels: ClassVar[bool] = True
    signed: ClassVar[bool | None] = None
    module: ModuleName
    settings: OpenMapping = Field(default_factory=dict)

    @property
    @override
    def needs_oracle(self) -> bool:
        return bool(self.strategy.needs_oracle)

    @override
    def load(self) -> None:
        _ = self.strategy

    @override
    def digests(self) -> dict[str, str]:
        module, package = self.module, dict[str, str]()
        for entry in entry_points(group=ENTRY_POINTS, name=self.module):
            package = {} if entry.dist is None else {entry.dist.name: entry.dist.version}
            module = entry.module
            break
        try:
            return package | module_sources(module)
        except OSError as error:
            raise cannot_read(self._key, error) from error

    @override
    def select(self, query: Query, size: int) -> Positions:
        strategy = self.strategy
        with _current_directory_importable():
            if type(strategy).select is ScoringStrategy.select:
                answer = best(self._scores(query), query, size)
            else:
                answer = strategy.select(query, size)
        return checked(answer, query, size, self._key)

    def _scores(self, query: Query) -> Tensor:
        """Return the strategy's utilities (P,), with which to choose.

        Raises:
            InputError: there is not one number for each candidate.
        """
        scores = self.utilities(query)
        if scores.index_fill(0, query.picked, 0).isnan().any():
            raise InputError(f"{self._key}: utilities returned NaN for a candidate")
        return scores

    @property
    def utilities(self) -> Callable[[Query], Tensor]:
        """The strategy's own utilities; they raise InputError where they are of another shape.

        Raises:
            AttributeError: it has none.
        """
        strategy: Any = self.strategy
        scores: Callable[[Query], Any] = strategy.utilities

        def utilities(query: Query) -> Tensor:
            with _current_directory_importable():
                answer = scores(query)
            return checked_utilities(answer, query, self._key)

        return utilities

    @cached_property
    def strategy(self) -> Strategy:
        """The strategy that the module makes.

        Raises:
            InputError: there is no such module, it cannot be imported, or it makes no strategy.
        """
        files = self.digests()
        make = _maker(self.module, self._key)
        self._refuse_stale(files)
        try:
            with _current_directory_importable():
                made: Any = make(dict(self.settings))
                usable = callable(getattr(made, "select", None)) and hasattr(made, "needs_oracle")
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            reason = first_line(error, typed=True)
            raise InputError(f"{self._key}: make_strategy failed: {reason}") from error
        if not usable:
            raise InputError(
                f"{self._key}: make_strategy must return an object with needs_oracle and select"
            )
        strategy: Strategy = made
        return strategy

    def _refuse_stale(self, files: dict[str, str]) -> None:
        """Refuse a module that was edited after this process imported it.

        What its files were then is noted in the module itself.
        """
        module = sys.modules.get(self.module)
        if module is None or entry_points(group=ENTRY_POINTS, name=self.module):
            return
        noted = vars(module).setdefault(NOTED, files)
        for name in sorted(noted.keys() | files.keys()):
            if noted.get(name) != files.get(name):
                raise InputError(
                    f"{self._key}: {name} has changed since this process imported it; start a new "
                    "process"
                )

    @property
    def _key(self) -> str:
        """The setting that chose the module, for complaints."""
        return f"strategy.module={self.module}"


def _maker(module: str, name: str) -> Callable[[dict[str, Any]], Any]:
    try:
        for entry in entry_points(group=ENTRY_POINTS, name=module):
            loaded: Callable[[dict[str, Any]], Any] = entry.load()
            return loaded
        with _current_directory_importable():
            found = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name == module.partition(".")[0] or error.name == module:
            raise InputError(
                f"{name}: no such module in the current directory or among installed packages"
            ) from error
        raise InputError(f"{name}: {first_line(error, typed=True)}") from error
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise InputError(f"{name}: cannot be imported: {first_line(error, typed=True)}") from error
    make = getattr(found, "make_strategy", None)
    if not callable(make):
        raise InputError(f"{name}: has no function make_strategy(settings)")
    maker: Callable[[dict[str, Any]], Any] = make
    return maker


@contextmanager
def _current_directory_importable() -> Iterator[None]:
    """Let modules in the current directory be found; a console script would not find them.

    Where they are found anyway nothing changes, so that the order of the search stays as it was.
    """
    missing = "" not in sys.path
    if missing:
        sys.path.append("")
    try:
        yield
    finally:
        if missing:
            sys.path.remove("")
