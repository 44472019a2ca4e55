"""Tables of OpenML. Their local copies are JSON and ARFF texts: nothing is unpickled."""

import http.client
import re
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from alupdate.config import OpenmlDataset
from alupdate.data.dataset import NAMED, Dataset, from_arrays, stratified_split
from alupdate.data.downloads import impatient
from alupdate.utils.errors import InputError, first_line


def read_openml(config: OpenmlDataset, name: str, cache: Path) -> Dataset:
    """Return a table whose features are numbers, with a stratified test share.

    Args:
        config: which table and version, and where its local copy is kept.
        name: of the data set.
        cache: the cache directory, where no other place is configured.

    Raises:
        InputError: no such table, no network, features that are not numbers, or no classes.
    """
    where = f"dataset.table={config.table}"
    if not re.fullmatch(r"[\w.(),+-]+", config.table):
        raise InputError(f"{where}: no name of a table; it has letters, digits and -_.,()+ only")
    kept = Path(config.root) if config.root is not None else cache / "openml"
    table, notes = _fetch(config, kept, where)
    labels, features = _labels(table.target, where), _features(table.data, where)
    train, test = stratified_split(labels, config.test_share, where)
    dataset = from_arrays(name, features[train], labels[train], features[test], labels[test], where)
    return replace(dataset, notes=(*notes, *dataset.notes))


def _fetch(config: OpenmlDataset, kept: Path, where: str) -> tuple[Any, list[str]]:
    """Return the table, and what OpenML warns of."""
    from sklearn.datasets import fetch_openml

    try:
        with warnings.catch_warnings(record=True) as caught, impatient():
            warnings.simplefilter("always")
            table = fetch_openml(
                config.table,
                version=config.version,
                data_home=str(kept),
                as_frame=True,
                parser="liac-arff",  # with pandas 3, the other fails on integers as classes
                n_retries=1,
            )
    except (OSError, http.client.HTTPException) as error:
        raise InputError(
            f"{where}: version {config.version} is not in {kept}, and the download failed "
            f"({first_line(error)}); check network and disk, or set dataset.root=FOLDER"
        ) from error
    except (ValueError, KeyError, EOFError) as error:
        raise InputError(
            f"{where}: version {config.version} cannot be used ({first_line(error)})"
        ) from error
    notes = [" ".join(str(w.message).split()) for w in caught if w.category is UserWarning]
    return table, notes


def _features(table: pd.DataFrame, where: str) -> NDArray[np.float32]:
    others = [str(name) for name in table if not pd.api.types.is_numeric_dtype(table[name])]
    if others:
        more = f" and {len(others) - NAMED} more" if len(others) > NAMED else ""
        raise InputError(
            f"{where}: the features {', '.join(others[:NAMED])}{more} are not numbers; make your "
            "own table of numbers of it and use dataset=npz or parquet"
        )
    return table.to_numpy(dtype=np.float32, na_value=np.nan)


def _labels(target: Any, where: str) -> NDArray[np.str_]:
    if not isinstance(target, pd.Series):
        raise InputError(f"{where}: has no single column of classes")
    if pd.api.types.is_float_dtype(target):
        raise InputError(f"{where}: {target.name} holds numbers, not classes")
    return target.astype(str).to_numpy(dtype=np.str_)
