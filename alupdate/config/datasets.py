"""The options of the group ``dataset``."""

from typing import Annotated, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from alupdate.config.values import SETTINGS, Text


@dataclass(frozen=True, config=SETTINGS)
class EmbeddedDataset:
    """A data set that an installed package ships: no download, no path."""

    name: Literal["digits", "mnist5k"]
    label: Text | None = None


@dataclass(frozen=True, config=SETTINGS)
class NpzDataset:
    """Arrays X_train, y_train, X_test and y_test in one NumPy archive."""

    name: Literal["npz"]
    path: Text
    label: Text | None = None


DatasetConfig = Annotated[EmbeddedDataset | NpzDataset, Field(discriminator="name")]
