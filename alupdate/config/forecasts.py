"""The schema of the group ``forecast``, and the runs that it does not apply to."""

from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, Field
from pydantic.dataclasses import dataclass

from alupdate.config.values import SETTINGS, Count, Natural, Share
from alupdate.utils.errors import InputError

if TYPE_CHECKING:
    from alupdate.config.schema import RunConfig

LABELLING = ("suggest", "label", "serve")
"""Tasks for people who label; they always say what to expect."""


def _ascending(values: tuple[int, ...]) -> tuple[int, ...]:
    if any(later <= earlier for earlier, later in pairwise(values)):
        raise ValueError("must rise from one number to the next")
    return values


@dataclass(frozen=True, config=SETTINGS)
class NoForecast:
    """Nothing is estimated."""

    name: Literal["none"] = "none"


@dataclass(frozen=True, config=SETTINGS)
class ExpectedAccuracy:
    """The expected accuracy with an interval, now and after further labels.

    Attributes:
        holdout: how many labels are drawn uniformly from the pool and never trained on; 0 for
            an estimate from the left-out labels of the training set.
        level: of the intervals.
        ahead: numbers of further labels.
    """

    name: Literal["expected"]
    holdout: Natural = 0
    level: Share = 0.9
    ahead: Annotated[tuple[Count, ...], Field(max_length=10), AfterValidator(_ascending)] = (
        50,
        200,
    )


ForecastConfig = Annotated[NoForecast | ExpectedAccuracy, Field(discriminator="name")]


def check_forecast(config: "RunConfig") -> None:
    """Refuse a forecast where it does not apply.

    Raises:
        InputError: of another task; or a holdout that the task cannot have.
    """
    wanted = config.forecast
    if isinstance(wanted, NoForecast):
        return
    task = config.task.name
    if task not in ("active_learning", *LABELLING):
        raise InputError(
            f"forecast={wanted.name}: is for task=active_learning, {', '.join(LABELLING)}; "
            f"task={task} does not use it"
        )
    if wanted.holdout and task in LABELLING:
        raise InputError(
            f"forecast.holdout={wanted.holdout}: task={task} sets no instances aside; use "
            "forecast.holdout=0"
        )
    reason = _why_no_holdout(config, wanted.holdout) if wanted.holdout else ""
    if reason:
        raise InputError(f"forecast.holdout={wanted.holdout}: {reason}")


def _why_no_holdout(config: "RunConfig", size: int) -> str:
    """Return why so many labels cannot be set aside; empty if they can."""
    if config.strategy.n_holdout:
        return (
            f"strategy={config.strategy.name} sets instances aside itself; use forecast.holdout=0"
        )
    if config.annotator.name != "truth":
        return (
            f"with annotator={config.annotator.name} its labels would be wrong, too; use "
            "forecast.holdout=0"
        )
    for key in ("cost", "cost_column"):
        if getattr(config.dataset, key, None) is not None:
            return f"its labels are not in the costs of dataset.{key}; use forecast.holdout=0"
    budget = config.n_initial + config.n_cycles * config.batch.size
    if size > budget:
        return (
            f"sets more labels aside than the {budget} that the run learns from; use fewer, or "
            "raise n_cycles"
        )
    return ""
