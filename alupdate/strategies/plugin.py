"""Strategies from outside the package."""

import importlib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import entry_points
from typing import Any

from alupdate.config import PluginStrategy
from alupdate.strategies.base import Positions, Query, Strategy, checked
from alupdate.utils.errors import InputError, first_line

GROUP = "alupdate.strategies"
"""The entry-point group in which installed packages announce their strategies."""


class Plugin:
    """A strategy of the user's own, whose answers are checked before they are used."""

    def __init__(self, settings: PluginStrategy) -> None:
        self._name = settings.module
        self._strategy = load_plugin(settings)
        self.needs_oracle = bool(self._strategy.needs_oracle)

    def select(self, query: Query, size: int) -> Positions:
        """See ``Strategy``.

        Raises:
            InputError: the plug-in's answer is not ``size`` distinct free positions.
        """
        with _current_directory_importable():
            answer = self._strategy.select(query, size)
        return checked(answer, query, size, f"strategy.module={self._name}")


def load_plugin(settings: PluginStrategy) -> Strategy:
    """Return what ``make_strategy(settings)`` of the named plug-in makes.

    An installed package's entry point of that name comes first, then a module that Python finds,
    in the current directory too.

    Raises:
        InputError: there is none, it cannot be imported, or it makes no strategy.
    """
    name = f"strategy.module={settings.module}"
    make = _maker(settings.module, name)
    try:
        with _current_directory_importable():
            strategy: Any = make(dict(settings.settings))
    except (Exception, SystemExit) as error:
        reason = first_line(error, typed=True)
        raise InputError(f"{name}: make_strategy failed: {reason}") from error
    if not callable(getattr(strategy, "select", None)) or not hasattr(strategy, "needs_oracle"):
        raise InputError(
            f"{name}: make_strategy must return an object with needs_oracle and select"
        )
    made: Strategy = strategy
    return made


def _maker(module: str, name: str) -> Callable[[dict[str, Any]], Any]:
    try:
        for entry in entry_points(group=GROUP, name=module):
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
    except (Exception, SystemExit) as error:
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
