"""Checks of where labels come from: the first ones, and the annotators."""

from alupdate.config.schema import (
    ActiveLearningTask,
    LabelTask,
    RunConfig,
    ServeTask,
    SuggestTask,
)
from alupdate.utils.errors import InputError

NO_LABELS = "n_initial=0"


def check_first_labels(config: RunConfig) -> None:
    """Refuse to choose first labels without features, and to begin without labels where none can.

    Raises:
        InputError: the settings do not go together.
    """
    backbone, task = config.backbone, config.task
    if config.initial != "random" and not backbone.frozen:
        raise InputError(
            f"initial={config.initial}: needs features before the first training, and so a frozen "
            f"backbone; use initial=random where backbone={backbone.name} is trained"
        )
    if config.n_initial:
        return
    if isinstance(task, SuggestTask | LabelTask | ServeTask):
        raise InputError(
            f"{NO_LABELS}: task={task.name} learns from labels first; use n_initial=1 or more"
        )
    if not isinstance(task, ActiveLearningTask):
        return
    if not backbone.frozen:
        raise InputError(
            f"{NO_LABELS}: the strategy starts from the prior on fixed features, and so needs a "
            f"frozen backbone; use n_initial=1 or more where backbone={backbone.name} is trained"
        )
    if config.initial != "random":
        raise InputError(
            f"initial={config.initial}: there are no first labels to choose with {NO_LABELS}; use "
            "initial=random, or n_initial=1 or more"
        )
    if not config.n_cycles:
        raise InputError(f"n_cycles=0: with {NO_LABELS} nothing would be labelled; use 1 or more")
