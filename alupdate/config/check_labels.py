"""Checks of where labels come from: the first ones, and the annotators."""

from alupdate.config.annotators import SeveralAnnotators, TruthAnnotator
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


def check_annotator(config: RunConfig) -> None:
    """Refuse simulated annotators where nobody is simulated, and numbers that do not fit together.

    Raises:
        InputError: the settings do not go together.
    """
    annotator, task, size = config.annotator, config.task, config.batch.size
    if isinstance(annotator, TruthAnnotator):
        return
    if not isinstance(task, ActiveLearningTask):
        raise InputError(
            f"annotator={annotator.name}: is for task=active_learning; task={task.name} does not "
            "use it"
        )
    for key in ("outliers", "label_noise"):
        if getattr(config.dataset, key, 0):
            raise InputError(
                f"dataset.{key}: is for annotators who are always right; use annotator=truth, or "
                f"dataset.{key}=0 with annotator={annotator.name}"
            )
    if isinstance(annotator, SeveralAnnotators):
        _check_votes(annotator)
    if annotator.ask_again >= size:
        raise InputError(
            f"annotator.ask_again={annotator.ask_again}: must be less than batch.size={size}, so "
            "that new instances are labelled, too"
        )
    if annotator.kind == "similar" and not config.backbone.frozen:
        raise InputError(
            "annotator.kind=similar: needs features before the first training, and so a frozen "
            f"backbone; use symmetric where backbone={config.backbone.name} is trained"
        )


def _check_votes(annotator: SeveralAnnotators) -> None:
    count = len(annotator.rates)
    if count != annotator.n:
        raise InputError(
            f"annotator.errors: has {count} numbers for annotator.n={annotator.n} annotators; give "
            "one for each, or a single number"
        )
    if annotator.votes > annotator.n:
        raise InputError(
            f"annotator.votes={annotator.votes}: must be at most annotator.n={annotator.n}"
        )
