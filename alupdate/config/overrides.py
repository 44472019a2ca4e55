"""Overrides as text: quoted for Hydra's grammar, and for the shell a command is pasted into."""

import re
import shlex
from collections.abc import Iterable

from alupdate.utils.errors import InputError
from alupdate.utils.paths import conf_dir

_BARE = re.compile(r"[A-Za-z_/.][A-Za-z0-9_/.-]*")
_WORDS = {"null", "true", "false", "nan", "inf"}
_NO_NAME = re.compile(r"null|true|false|[-+\d.]*|[{].*[}]", re.IGNORECASE)
"""Values that Hydra reads as something else than the name of an option."""
_MAX_DEPTH = 20
"""How deep the brackets of a value may be nested; Hydra's parser takes exponential time."""


def override_text(key: str, value: str) -> str:
    r"""Return ``key=value`` such that Hydra reads the value as this very string.

    Example:
        >>> override_text("experiment_dir", "results/mine"), override_text("label", "Käse (2)")
        ('experiment_dir=results/mine', "label='Käse (2)'")
    """
    if _BARE.fullmatch(value) and value.lower() not in _WORDS:
        return f"{key}={value}"
    # Of backslashes, Hydra reads those before a quotation mark, OmegaConf those before ${.
    inner = re.sub(r"(\\*)('|$)", lambda m: 2 * m[1] + (r"\'" if m[2] else ""), _escaped(value))
    return f"{key}='{inner}'"


def _escaped(value: str) -> str:
    return re.sub(r"(\\*)\$\{", lambda found: 2 * found[1] + r"\${", value)


def shell_command(arguments: Iterable[str]) -> str:
    """Return a command with these arguments, to be pasted into a shell."""
    return f"python -m alupdate.run {' '.join(map(_for_shell, arguments))}"


def _for_shell(text: str) -> str:
    """Return a quoted argument; double quotes around single ones are easier to read."""
    return f'"{text}"' if "'" in text and not set(text) & set('"$`!\\') else shlex.quote(text)


def check_arguments(arguments: Iterable[str]) -> None:
    """Refuse arguments that cannot be written down, or that Hydra's parser takes too long for.

    Raises:
        InputError: naming the argument.
    """
    for argument in arguments:
        key, _, value = argument.partition("=")
        if not key.lstrip("+~").partition("@")[0]:
            raise InputError(f"{argument}: has no key, give KEY=VALUE")
        if any("\ud800" <= character <= "\udfff" for character in argument):
            raise InputError(f"{argument}: is not UTF-8; rename the file, or link to it")
        if "\0" in argument or "\n" in argument:
            raise InputError(f"{key}: holds a line break or a null character")
        if _depth(argument) > _MAX_DEPTH:
            raise InputError(f"{key}: brackets are nested more than {_MAX_DEPTH} deep")
        if _NO_NAME.fullmatch(value) and key.isidentifier() and (conf_dir() / key).is_dir():
            raise InputError(f"{argument}: a name is required, give {key}=OPTION")


def _depth(text: str) -> int:
    depth = deepest = 0
    for character in text:
        depth += (character in "([{") - (character in ")]}")
        deepest = max(deepest, depth)
    return deepest


def how_to_quote(override: str) -> str:
    """Return what to type for an override whose value Hydra cannot read, or an empty string."""
    key, separator, value = override.partition("=")
    value = value.strip("\"'")
    if not separator or not re.fullmatch(r"[+~]*[\w./@-]+", key) or not value or value[0] in "[{":
        return ""
    return f"; a value with such characters needs quotes: {_for_shell(override_text(key, value))}"
