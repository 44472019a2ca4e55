"""Your own data, of which some instances are labelled: what people label, and predict on."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic.dataclasses import dataclass as checked_dataclass

from alupdate.config.values import SETTINGS, PathText, Text
from alupdate.data.dataset import DatasetOption, Instances, IntArray
from alupdate.utils.display import Display

Conflict = Literal["error", "last"]


@dataclass(frozen=True)
class PartlyLabelled:
    """A pool of which some instances are labelled, and perhaps a test set.

    Attributes:
        name: as shown in tables and figures.
        pool: the P instances.
        names: what each is called in files: its path, its row, or its cell in a named column.
        indices: (N,), the labelled instances, in the order of labelling.
        labels: (N,), their class indices 0..C-1.
        skipped: (S,), instances that nobody could or wanted to label.
        classes: the C class names, sorted; those of the labels, or the declared ones.
        declared: whether other classes than these are refused.
        test: the T instances of the test set; None where there is none.
        test_labels: (T,), their class indices; None where there is no test set or it has no labels.
        notes: what a user should know about the data, a line each.
    """

    name: str
    pool: Instances
    names: tuple[str, ...]
    indices: IntArray
    labels: IntArray
    skipped: IntArray
    classes: tuple[str, ...]
    declared: bool
    test: Instances | None = None
    test_labels: IntArray | None = None
    notes: tuple[str, ...] = ()


@checked_dataclass(frozen=True, config=SETTINGS, kw_only=True)
class OwnData(DatasetOption, ABC):
    """A data set that the user brings; its instances may lack labels.

    Attributes:
        labels: a file of labels, with the columns instance and label; later rows are newer.
        classes: the names of all classes; None for those of the labels.
        on_conflict: what is done with two different labels of one instance.
    """

    labels: PathText | None = None
    classes: tuple[Text, ...] | None = None
    on_conflict: Conflict = "error"

    @abstractmethod
    def partly_labelled(self, cache: Path, display: Display) -> PartlyLabelled:
        """Return the pool with the labels that there are.

        Args:
            cache: the cache directory, for the index of image files.
            display: shows progress.

        Raises:
            InputError: the data or the labels are missing or malformed.
        """
