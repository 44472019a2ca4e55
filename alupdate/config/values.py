"""The kinds of values that settings take, and how they are checked."""

import math
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, PlainValidator

SETTINGS = ConfigDict(extra="forbid")

Flag = Annotated[bool, Field(strict=True)]
Text = Annotated[str, Field(strict=True, min_length=1)]
FolderName = Annotated[str, Field(strict=True, pattern=r"^[\w][\w.+-]*$")]
Natural = Annotated[int, Field(strict=True, ge=0)]
Count = Annotated[int, Field(strict=True, ge=1)]
Positive = Annotated[float, Field(strict=True, gt=0, allow_inf_nan=False)]
Share = Annotated[float, Field(strict=True, gt=0, lt=1)]
UpdateName = Literal["first_order", "second_order", "monte_carlo", "map"]
LikelihoodName = Literal["gaussian", "categorical", "per_class"]
NonNegative = Annotated[float, Field(strict=True, ge=0, allow_inf_nan=False)]


def _positive_or_auto(value: object) -> float | Literal["auto"]:
    """One message for both alternatives, where a union of types would give two."""
    if value == "auto":
        return "auto"
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if number and 0 < float(str(value)) < math.inf:
        return float(str(value))
    raise ValueError("must be greater than 0, or auto")


PositiveOrAuto = Annotated[float | Literal["auto"], PlainValidator(_positive_or_auto)]
StepSize = PositiveOrAuto
