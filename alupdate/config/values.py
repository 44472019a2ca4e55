"""The kinds of values that settings take, and how they are checked."""

import math
import re
from collections.abc import Callable
from functools import cache
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, PlainValidator

from alupdate.laplace.names import PER_CLASS, Likelihood
from alupdate.utils.errors import suggestion
from alupdate.utils.paths import conf_dir, expanded

SETTINGS = ConfigDict(extra="forbid")

DISTURBANCES = {
    "imbalance": "imbalance",
    "label_noise": "noise",
    "outliers": "outliers",
    "duplicates": "duplicates",
}
"""Keys of ``dataset`` that make data less clean, and how the name of the data set says so."""
TextLength = Literal["words", "characters"]
"""What the length of a text is counted in."""
Flag = Annotated[bool, Field(strict=True)]
Text = Annotated[str, Field(strict=True, min_length=1)]
FORMULA = ("=", "+", "-", "@")
"""What spreadsheets take for the beginning of a formula."""


def _displayable(value: str) -> str:
    if not value.isprintable() or not value.strip():
        raise ValueError("must be a line of printable characters")
    if value.startswith(FORMULA) and value not in FORMULA:
        raise ValueError(f"must not begin with {value[0]}, which is a formula in a spreadsheet")
    return value


Label = Annotated[Text, AfterValidator(_displayable)]
ClassName = Annotated[
    Text, BeforeValidator(lambda value: str(value) if type(value) is int else value)
]
"""What a class is called; an integer stands for its decimal digits."""


def _without_null(value: str) -> str:
    if "\0" in value:
        raise ValueError("holds a null character")
    return value


PathText = Annotated[Text, AfterValidator(_without_null), AfterValidator(expanded)]
"""Where a file or folder is; a leading ``~`` becomes the home directory."""
Port = Annotated[int, Field(strict=True, ge=1, le=65535)]


def _with_host(value: str) -> str:
    if not urlsplit(value).hostname:  # itself a ValueError where brackets do not fit
        raise ValueError("has no host")
    return value


def that_matches(pattern: str, wanted: str) -> AfterValidator:
    """Return what refuses texts that a pattern does not match, saying what is wanted.

    Example:
        >>> check = that_matches("[ab]+", "must be of the letters a and b")
        >>> check.func("abc")
        Traceback (most recent call last):
        ValueError: must be of the letters a and b
    """

    def checked(value: str) -> str:
        if not re.fullmatch(pattern, value):
            raise ValueError(wanted)
        return value

    return AfterValidator(checked)


WebAddress = Annotated[
    Text,
    that_matches(
        r"https?://[^\s/?#]+(/[^\s?#]*)?",
        "must begin with http:// or https://, and have no question mark, # or blank",
    ),
    AfterValidator(_with_host),
]
"""Of a page, without what follows a question mark."""
FolderName = Annotated[
    str,
    Field(strict=True),
    that_matches(
        r"\w[\w.+-]*",
        "must be a name of letters, digits, _, ., + and -, the first one a letter, digit or _",
    ),
]
DeviceName = Annotated[
    str,
    Field(strict=True),
    that_matches(r"auto|cpu|cuda(:\d{1,3})?", "must be auto, cpu, cuda, or a GPU such as cuda:1"),
]
Natural = Annotated[int, Field(strict=True, ge=0)]
Count = Annotated[int, Field(strict=True, ge=1)]
Threads = Annotated[int, Field(strict=True, ge=1, le=1024)]
SMALLEST, LARGEST = 1e-30, 1e30
"""Of positive numbers: their products and squares should be numbers of 32 bits, or nearly."""


def _of_usual_size(value: float) -> float:
    if not (value == 0 or SMALLEST <= value <= LARGEST):
        raise ValueError(f"must be between {SMALLEST:g} and {LARGEST:g}")
    return value


Positive = Annotated[
    float, Field(strict=True, gt=0, allow_inf_nan=False), AfterValidator(_of_usual_size)
]
Share = Annotated[float, Field(strict=True, gt=0, lt=1)]
Scalar = bool | int | float | str | None
Seconds = Annotated[float, Field(strict=True, ge=0.1, le=86400)]
"""Between two looks at something."""
NonNegative = Annotated[
    float, Field(strict=True, ge=0, allow_inf_nan=False), AfterValidator(_of_usual_size)
]

OpenMapping = Annotated[
    dict[str, Scalar], BeforeValidator(lambda value: {} if value is None else value)
]
"""Settings of code that is not this program's. Its presets say null: Hydra lets a command replace
null by a mapping, but add no keys to an empty one."""

NO_LABEL = -1
"""In place of a class: the instance has no label, or nobody can give one."""
RETRAIN = "retrain"
"""The option of the group ``update`` that is no update rule."""

RENAMED_LIKELIHOODS = {"multinomial": PER_CLASS}


@cache
def update_names() -> tuple[str, ...]:
    """Return the names of the update rules: the files in conf/update but ``retrain``."""
    names = {path.stem for path in (conf_dir() / "update").glob("*.yaml")}
    return tuple(sorted(names - {RETRAIN}))


def _update_name(value: str) -> str:
    return _listed(value, update_names())


def _update_or_retrain(value: str) -> str:
    return _listed(value, (*update_names(), RETRAIN))


def _listed(value: str, allowed: tuple[str, ...]) -> str:
    if value not in allowed:
        raise ValueError(
            f"no such update; {suggestion(value, allowed)}available: {', '.join(allowed)}"
        )
    return value


def _current_likelihood(value: object) -> object:
    if isinstance(value, str) and value in RENAMED_LIKELIHOODS:
        raise ValueError(f"is now called {RENAMED_LIKELIHOODS[value]}")
    return value


UpdateName = Annotated[Text, AfterValidator(_update_name)]
UpdateOrRetrain = Annotated[Text, AfterValidator(_update_or_retrain)]
LikelihoodName = Annotated[Likelihood, BeforeValidator(_current_likelihood)]


def positive_or(*words: str) -> Callable[[object], float | str]:
    """Return a validator of a positive number or one of the words.

    One message for all alternatives, where a union of types would give several.
    """

    def validated(value: object) -> float | str:
        if isinstance(value, str) and value in words:
            return value
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if number and 0 < float(str(value)) < math.inf:
            return _of_usual_size(float(str(value)))
        raise ValueError(f"must be greater than 0, or {' or '.join(words)}")

    return validated


PositiveOrAuto = Annotated[float | Literal["auto"], PlainValidator(positive_or("auto"))]
StepSize = PositiveOrAuto


def _count_or_auto(value: object) -> int | Literal["auto"]:
    """One message for both alternatives."""
    if value == "auto":
        return "auto"
    if type(value) is int and value >= 1:
        return value
    raise ValueError("must be an integer of at least 1, or auto")


CountOrAuto = Annotated[int | Literal["auto"], PlainValidator(_count_or_auto)]
