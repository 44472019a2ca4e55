"""Tables of OpenML. Their local copies are JSON and ARFF texts: nothing is unpickled."""

import http.client
import re
import warnings
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic.dataclasses import dataclass
from typing_extensions import override

from alupdate.config.values import SETTINGS, Count, PathText, Share, Text
from alupdate.data.dataset import Dataset, DatasetOption, from_arrays
from alupdate.data.downloads import connection_timeout
from alupdate.data.labels import NAMED
from alupdate.data.splits import stratified_split
from alupdate.utils.display import Display
from alupdate.utils.errors import InputError, first_line

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, config=SETTINGS, kw_only=True)
class OpenmlTable(DatasetOption):
    """A table of OpenML whose features are numbers, with a test share.

    Attributes:
        table: its name on OpenML.
        version: of the table.
        root: where the download is kept; None for the cache directory.
        test_share: how much of every class is held out.
    """

    places: ClassVar[frozenset[str]] = frozenset({"root"})
    name: Literal["openml", "letter", "pendigits"]
    table: Text
    version: Count = 1
    root: PathText | None = None
    test_share: Share = 0.2

    @override
    def read(self, cache: Path, display: Display) -> Dataset:
        where = f"dataset.table={self.table}"
        if not re.fullmatch(r"[\w.(),+-]+", self.table):
            raise InputError(
                f"{where}: no name of a table; it has letters, digits and -_.,()+ only"
            )
        kept = Path(self.root) if self.root is not None else cache / "openml"
        table, notes = _fetch(self.table, self.version, kept, where)
        labels, features = _labels(table.target, where), _features(table.data, where)
        train, test = stratified_split(labels, self.test_share, where)
        columns = tuple(map(str, table.data.columns))
        parts = (features[train], labels[train], features[test], labels[test])
        dataset = from_arrays(self.display_name, *parts, where, columns)
        return replace(dataset, notes=(*notes, *dataset.notes))


def _fetch(name: str, version: int, kept: Path, where: str) -> tuple[Any, list[str]]:
    """Return the table, and what OpenML warns of."""
    from sklearn.datasets import fetch_openml

    try:
        with warnings.catch_warnings(record=True) as caught, connection_timeout():
            warnings.simplefilter("always")
            table = fetch_openml(
                name,
                version=version,
                data_home=str(kept),
                as_frame=True,
                parser="liac-arff",  # with pandas 3, the other fails on integers as classes
                n_retries=1,
            )
    except (OSError, http.client.HTTPException) as error:
        raise InputError(
            f"{where}: version {version} is not in {kept}, and the download failed "
            f"({first_line(error)}); check network and disk, or set dataset.root=FOLDER"
        ) from error
    except (ValueError, KeyError, EOFError) as error:
        raise InputError(
            f"{where}: version {version} cannot be used ({first_line(error)})"
        ) from error
    notes = [" ".join(str(w.message).split()) for w in caught if w.category is UserWarning]
    return table, notes


def _features(table: "pd.DataFrame", where: str) -> NDArray[np.float64]:
    import pandas as pd

    others = [str(name) for name in table if not pd.api.types.is_numeric_dtype(table[name])]
    if others:
        more = f" and {len(others) - NAMED} more" if len(others) > NAMED else ""
        raise InputError(
            f"{where}: the features {', '.join(others[:NAMED])}{more} are not numbers; make your "
            "own table of numbers of it and use dataset=npz or parquet"
        )
    return table.to_numpy(dtype=np.float64, na_value=np.nan)


def _labels(target: Any, where: str) -> NDArray[Any]:
    import pandas as pd

    if not isinstance(target, pd.Series):
        raise InputError(f"{where}: has no single column of classes")
    if pd.api.types.is_float_dtype(target):
        raise InputError(f"{where}: {target.name} holds numbers, not classes")
    return np.array(target.astype(str), dtype=object)
