"""The options of a config group: classes by name, found in the package that holds them.

A data set, a backbone or a strategy is one module with a frozen dataclass, whose fields are its
settings, and one YAML file under ``conf/``. The names that YAML files may give are the values of
the dataclass's field ``name``; nothing else lists them. The modules of a group are imported when
one of its options is asked for, and not before: they need PyTorch, and help is printed without it.
"""

import importlib
import pkgutil
import re
from collections.abc import Mapping
from dataclasses import fields
from functools import cache
from typing import Any, ClassVar, get_args

from pydantic import TypeAdapter
from pydantic.dataclasses import dataclass

from alupdate.config.values import SETTINGS, Text

PACKAGES = {
    "dataset": "alupdate.data",
    "backbone": "alupdate.models",
    "strategy": "alupdate.strategies",
}
"""Where the options of each group are defined."""


@dataclass(frozen=True, config=SETTINGS, kw_only=True)
class Option:
    """An option of a config group with its settings.

    Attributes:
        group: the config group.
        name: as in YAML files; a subclass states its names as a ``Literal``.
        label: how tables and figures call it; None for its name.
    """

    group: ClassVar[str]
    name: str
    label: Text | None = None

    def check(self) -> None:
        """Refuse settings that contradict each other.

        Raises:
            InputError: they do; the message names the keys.
        """

    def digests(self) -> dict[str, str]:
        """Return what lies outside the settings and decides the result, as part of its identity.

        A name that is also a setting stands for it: a file that moved is the same, one that
        changed is not.

        Returns:
            A file's name, or the setting that names it, to its SHA-256; a package to its version.

        Raises:
            InputError: a file is missing.
        """
        return {}

    @property
    def display_name(self) -> str:
        """How tables and figures call it."""
        return self.label or self.name


@cache
def options(group: str) -> Mapping[str, type[Option]]:
    """Return the classes of a group's options by name."""
    package = importlib.import_module(PACKAGES[group])
    found: dict[str, type[Option]] = {}
    for entry in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        module = importlib.import_module(entry.name)
        for value in vars(module).values():
            if not (isinstance(value, type) and issubclass(value, Option)):
                continue
            if value.__module__ == module.__name__:
                found |= dict.fromkeys(names_of(value), value)
    return found


def names_of(option: type[Option]) -> tuple[str, ...]:
    """Return the names of an option's class; none for a base class."""
    annotation = next(field.type for field in fields(option) if field.name == "name")
    return tuple(str(name) for name in get_args(annotation))


def make_option(group: str, settings: Mapping[str, Any]) -> Option:
    """Return the option that settings describe, checked against its class.

    Raises:
        KeyError: the group has no option of that name.
        pydantic.ValidationError: a setting is unknown, missing or out of range.
        InputError: settings contradict each other.
    """
    option = TypeAdapter(options(group)[settings["name"]]).validate_python(dict(settings))
    option.check()
    return option


def requirement(message: str) -> str:
    """Return what a value must be, from the message of a pydantic error."""
    plain = re.sub(r"^(Input should|String should)", "must", message)
    return plain.removeprefix("Value error, ")
