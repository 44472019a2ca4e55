"""Checks of what is done to a data set before a run: who can work with it."""

from alupdate.config.schema import (
    LabelTask,
    PredictTask,
    RunConfig,
    ServeTask,
    SuggestTask,
    UpdatingTask,
)
from alupdate.utils.errors import InputError

OF_REAL_DATA = (SuggestTask, LabelTask, ServeTask, PredictTask)
"""Tasks about data as they are, which nothing is to be done to."""


def check_disturbances(config: RunConfig) -> None:
    """Refuse rare classes, outliers, duplicates and wrong labels where they cannot be made.

    Raises:
        InputError: the settings do not go together.
    """
    dataset, task = config.dataset, config.task
    dataset.require_use()
    if not dataset.disturbed_by:
        return
    first = dataset.disturbed_by[0]
    setting = f"dataset.{first}={getattr(dataset, first):g}"
    if isinstance(task, OF_REAL_DATA):
        raise InputError(
            f"{setting}: is for simulations; task={task.name} works with the data as they are"
        )
    if isinstance(task, UpdatingTask) and dataset.outliers:
        raise InputError(
            f"dataset.outliers={dataset.outliers:g}: task=updating compares updates with labels, "
            "which outliers do not have; leave it out"
        )
    confuses = dataset.label_noise and dataset.label_noise_kind == "confusion"
    if confuses and not config.backbone.frozen:
        raise InputError(
            "dataset.label_noise_kind=confusion: is that of a linear probe on fixed features; "
            f"use symmetric where backbone={config.backbone.name} is trained"
        )
