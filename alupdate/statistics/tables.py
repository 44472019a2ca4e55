"""Every table that results allow."""

import pandas as pd

from alupdate.statistics.area_tables import area_tables
from alupdate.statistics.areas import normalised_area
from alupdate.statistics.curve_tables import curve_tables
from alupdate.statistics.result_table import ResultTable
from alupdate.statistics.update_tables import update_tables
from alupdate.statistics.variants import finished


def result_tables(
    curves: pd.DataFrame | None,
    updates: pd.DataFrame | None,
    areas: pd.DataFrame | None = None,
    metric: str = "accuracy",
) -> list[ResultTable]:
    """Return every table that the data allow.

    Args:
        curves: rows in the form of curve.csv; runs behind the others of their setting are left
            out, as they are not finished.
        updates: rows in the form of updates.csv.
        areas: from ``normalised_area``, where there are no curves any more.
        metric: a column of curve.csv by which strategies are compared.

    Raises:
        InputError: runs differ in settings that the table does not show.
    """
    tables: list[ResultTable] = []
    if curves is not None and len(curves):
        done = finished(curves)
        tables += [*area_tables(normalised_area(done, metric), metric), *curve_tables(done, metric)]
    if areas is not None and len(areas):
        tables += area_tables(areas, metric)
    if updates is not None and len(updates):
        tables += update_tables(updates)
    return tables
