"""The options of the group ``dataset``."""

from typing import Annotated, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from alupdate.config.values import SETTINGS, Count, Flag, Share, Text


@dataclass(frozen=True, config=SETTINGS, kw_only=True)
class _Common:
    """What every data set can be asked for.

    ``label`` names it in tables and figures; ``n_train`` and ``n_test`` keep a random part of the
    pool and of the test set, the same for every seed.
    """

    label: Text | None = None
    n_train: Count | None = None
    n_test: Count | None = None


@dataclass(frozen=True, config=SETTINGS, kw_only=True)
class EmbeddedDataset(_Common):
    """A data set that an installed package ships: no download, no path."""

    name: Literal["digits", "mnist5k"]


@dataclass(frozen=True, config=SETTINGS, kw_only=True)
class NpzDataset(_Common):
    """Arrays X_train, y_train, X_test and y_test in one NumPy archive."""

    name: Literal["npz"]
    path: Text


@dataclass(frozen=True, config=SETTINGS, kw_only=True)
class ParquetDataset(_Common):
    """A table of features: a file with a test share, or a training and a test file.

    ``feature_column`` names a column of lists; without it, every numeric column but the label's is
    a feature.
    """

    name: Literal["parquet"]
    path: Text | None = None
    train: Text | None = None
    test: Text | None = None
    label_column: Text = "label"
    feature_column: Text | None = None
    test_share: Share = 0.2


@dataclass(frozen=True, config=SETTINGS, kw_only=True)
class CsvDataset(_Common):
    """Texts in a CSV, TSV or JSONL file with a test share, or in a training and a test file."""

    name: Literal["csv"]
    path: Text | None = None
    train: Text | None = None
    test: Text | None = None
    text_column: Text = "text"
    label_column: Text = "label"
    test_share: Share = 0.2


@dataclass(frozen=True, config=SETTINGS, kw_only=True)
class ImageFolderDataset(_Common):
    """A folder or zip of <split>/<class>/* or <class>/*; ``test_share`` where there is no split."""

    name: Literal["imagefolder"]
    path: Text
    test_share: Share = 0.2
    unreadable: Literal["error", "skip"] = "error"


@dataclass(frozen=True, config=SETTINGS, kw_only=True)
class ImageDataset(_Common):
    """A well-known image data set: your own copy at ``root``, or downloaded into the cache."""

    name: Literal["cifar10", "cifar100", "stl10", "dtd", "food101", "flowers102", "svhn"]
    root: Text | None = None
    download: Flag = True


@dataclass(frozen=True, config=SETTINGS, kw_only=True)
class HubDataset(_Common):
    """A well-known data set from the Hugging Face Hub: files at ``root``, or downloaded."""

    name: Literal["snacks", "banking77", "clinc150", "agnews", "dbpedia", "trec"]
    root: Text | None = None
    download: Flag = True


@dataclass(frozen=True, config=SETTINGS, kw_only=True)
class OpenmlDataset(_Common):
    """A table of OpenML by name, with a test share; ``root`` keeps the download."""

    name: Literal["openml", "letter", "pendigits"]
    table: Text
    version: Count = 1
    root: Text | None = None
    test_share: Share = 0.2


DatasetConfig = Annotated[
    EmbeddedDataset
    | NpzDataset
    | ParquetDataset
    | CsvDataset
    | ImageFolderDataset
    | ImageDataset
    | HubDataset
    | OpenmlDataset,
    Field(discriminator="name"),
]

WHERE_DATA_LIE = frozenset({"path", "train", "test", "root", "download"})
"""Keys that say where data are: a run's identity has their content's digest instead."""
