"""Reading the runs of an experiment as one tidy table."""

from pathlib import Path

import pandas as pd

from alupdate.errors import InputError


def read_runs(folder: Path, name: str = "curve.csv") -> pd.DataFrame:
    """Return the rows of one kind of CSV file of all runs below a folder.

    ``folder`` may be an experiment (``results/<experiment>``), a single run, or a CSV file in
    which the runs were gathered before.

    Raises:
        InputError: there is no such file.
    """
    if folder.is_file():
        return pd.read_csv(folder)
    copies = "mlflow-artifacts"  # of files that are there already
    files = sorted(path for path in folder.rglob(name) if copies not in path.parts)
    if not files:
        raise InputError(f"{folder}: holds no {name}; give a results/<experiment> directory")
    return pd.concat([pd.read_csv(file) for file in files], ignore_index=True)
