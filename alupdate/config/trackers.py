"""The options of the group ``tracker``."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field
from pydantic.dataclasses import dataclass

from alupdate.config.values import SETTINGS, Text

URI = re.compile(r"databricks(://\S+)?|(https?|(sqlite|postgresql|mysql|mssql)(\+\w+)?)://\S+")


def _mlflow_uri(value: str) -> str:
    if URI.fullmatch(value):
        return value
    raise ValueError("must be a URI of MLflow, such as http://localhost:5000 or sqlite:///runs.db")


@dataclass(frozen=True, config=SETTINGS)
class NoTracker:
    """CSV files only; every run writes them, whatever the tracker."""

    name: Literal["none"] = "none"


@dataclass(frozen=True, config=SETTINGS)
class MlflowTracker:
    """MLflow; without ``uri`` in the file ``mlflow.db`` of results_dir."""

    name: Literal["mlflow"]
    uri: Annotated[Text, AfterValidator(_mlflow_uri)] | None = None


@dataclass(frozen=True, config=SETTINGS)
class TensorboardTracker:
    """TensorBoard, in the folder ``tensorboard`` of the run."""

    name: Literal["tensorboard"]


TrackerConfig = Annotated[
    NoTracker | MlflowTracker | TensorboardTracker, Field(discriminator="name")
]
