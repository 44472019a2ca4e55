"""The options of the group ``batch``."""

from typing import Annotated, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from alupdate.config.values import SETTINGS, Count, UpdateName
from alupdate.laplace.names import SECOND_ORDER


@dataclass(frozen=True, config=SETTINGS)
class TopBatch:
    """Pick the whole batch at once."""

    name: Literal["top_b"]
    size: Count = 10


@dataclass(frozen=True, config=SETTINGS)
class SequentialBatch:
    """Pick ``every`` instances, acquire their labels, update the model, and pick the next."""

    name: Literal["sequential"]
    size: Count = 10
    every: Count = 1
    update: UpdateName = SECOND_ORDER


BatchConfig = Annotated[TopBatch | SequentialBatch, Field(discriminator="name")]
