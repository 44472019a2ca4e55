"""A labelling campaign: a pool, the labels so far, its features, and the folder of its files.

The state of a campaign is its labels file and nothing else: the same labels in the same order give
the same next batch and the same model. Everything else in the folder is made from it.
"""

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from filelock import Timeout

from alupdate.config import RunConfig
from alupdate.data.dataset import Dataset, IntArray
from alupdate.data.labels_file import refuse_export
from alupdate.data.own_data import OwnData, PartlyLabelled
from alupdate.data.pool import Pool
from alupdate.experiment.selection import Selector
from alupdate.experiment.setup import Setup, check_fits, prepared
from alupdate.labelling.suggester import Suggester
from alupdate.models.learner import FrozenLearner
from alupdate.results.status import LOCK
from alupdate.results.store import BusyError
from alupdate.utils.display import Display
from alupdate.utils.errors import InputError
from alupdate.utils.files import locked_file, regular_bytes, replace_file, safe_name
from alupdate.utils.paths import cache_dir

LABELS = "labels.csv"
"""The labels file of a campaign whose command names none."""
PREFIX = "labelling-"
"""Of the names of campaigns' folders."""
OWNER = "campaign.json"
"""Says which pool a campaign's folder is for."""


@dataclass(frozen=True)
class Campaign:
    """What is labelled, and how to learn from it.

    Attributes:
        config: of the command.
        folder: of the campaign's files.
        labels_file: where labels are read from and appended to.
        data: the pool with its labels.
        setup: features of pool and test set, and the learner on them.
    """

    config: RunConfig
    folder: Path
    labels_file: Path
    data: PartlyLabelled
    setup: Setup

    @property
    def name(self) -> str:
        """Of the pool, for people."""
        return self.folder.name.removeprefix(PREFIX)

    @property
    def pool(self) -> Pool:
        """What is labelled."""
        return Pool.unlabelled(len(self.data.names)).label(self.data.indices, self.data.labels)

    @property
    def test_labels(self) -> torch.Tensor | None:
        """The labels (T,) of the test set; None where there are none."""
        labels = self.data.test_labels
        return None if labels is None else torch.from_numpy(labels).to(self.setup.device)

    def suggester(self, selector: Selector) -> Suggester:
        """Return what chooses, for the classes that there are now."""
        learner, n_classes = self.setup.learner, len(self.data.classes)
        assert isinstance(learner, FrozenLearner)
        for_classes = learner.for_classes(max(2, n_classes))
        return Suggester(self.config, selector, for_classes, len(self.data.names), n_classes)

    def with_labels(self, data: PartlyLabelled) -> "Campaign":
        """Return the campaign after more labels of the same pool, and perhaps of more classes."""
        dataset = replace(self.setup.dataset, classes=data.classes)
        return replace(self, data=data, setup=replace(self.setup, dataset=dataset))


def check_labelling(config: RunConfig) -> None:
    """Refuse what only a simulation can do.

    Raises:
        InputError: naming the key to change.
    """
    task = f"task={config.task.name}"
    if not isinstance(config.dataset, OwnData):
        raise InputError(
            f"{task}: dataset={config.dataset.name} has all its labels; use dataset=imagefolder, "
            "csv, parquet or npz for a pool of your own"
        )
    if config.strategy.needs_oracle:
        raise InputError(
            f"{task}: strategy={config.strategy.name} is an oracle, which must know labels that "
            "nobody has given; use another strategy, such as margin, badge or typiclust"
        )
    if not config.backbone.frozen:
        raise InputError(
            f"{task}: backbone={config.backbone.name} is trained as a whole; use a frozen one"
        )


@contextmanager
def locked_folder(config: RunConfig) -> Iterator[Path]:
    """Make the folder of a campaign and hold it for this process.

    A folder that was made for a command with wrong input is removed again.

    Raises:
        BusyError: another process works on the same campaign.
        InputError: it cannot be made, or belongs to another pool.
    """
    folder = campaign_folder(config)
    made = [place for place in (folder, *folder.parents) if not place.exists()]
    with ExitStack() as stack:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            stack.enter_context(locked_file(folder / LOCK, timeout=0))
            _claim(folder, _places(config))
        except Timeout as error:
            raise BusyError(f"{folder}: another process works on this campaign") from error
        except OSError as error:
            raise InputError(f"results_dir: cannot write {folder} ({error.strerror})") from error
        try:
            yield folder
        except InputError:
            _remove(made)
            raise


def _remove(made: list[Path]) -> None:
    """Remove folders that were made for nothing, the inner one first, if they hold nothing else."""
    try:
        if made and {path.name for path in made[0].iterdir()} <= {LOCK, OWNER}:
            for name in (LOCK, OWNER):
                (made[0] / name).unlink(missing_ok=True)
            for folder in made:
                folder.rmdir()
    except OSError:  # somebody else has put something there
        return


def campaign_folder(config: RunConfig) -> Path:
    """Return the folder of a campaign: one for a pool, whatever strategy and backbone are used."""
    path = next(iter(_places(config).values()))
    name = safe_name(config.dataset.label or Path(path).stem)
    return Path(config.results_dir) / config.experiment_name / f"{PREFIX}{name}"


def _places(config: RunConfig) -> dict[str, str]:
    """Return where the pool is: the settings that say so, and absolute paths."""
    return {
        key: str(Path(value).absolute())
        for key, value in asdict(config.dataset).items()
        if key in config.dataset.places and key != "labels" and value is not None
    }


def _claim(folder: Path, places: dict[str, str]) -> None:
    """Note whose folder it is; that of another pool with the same name is refused."""
    owner = folder / OWNER
    if not owner.is_file():
        replace_file(owner, json.dumps(places, indent=2) + "\n")
        return
    try:
        found = json.loads(regular_bytes(owner))
    except (ValueError, RecursionError):
        found = None
    if found != places:
        raise InputError(
            f"{folder}: is the campaign of another pool, as {owner.name} there says; give another "
            f"experiment_name, or remove {owner.name} if the pool has moved"
        )


def read_labels(config: RunConfig, folder: Path, display: Display) -> tuple[PartlyLabelled, Path]:
    """Return the pool with its labels, and the file that new labels are appended to.

    That is the configured one, the one that lies with the data, or one in the campaign's folder. It
    need not exist yet.

    Args:
        config: of the command.
        folder: of the campaign.
        display: shows progress.

    Raises:
        InputError: the data or the labels are malformed.
    """
    assert isinstance(config.dataset, OwnData)
    configured, own, beside = config.dataset.labels, folder / LABELS, config.dataset.labels_beside()
    if configured is None and own.exists() and beside is not None:
        raise InputError(
            f"{own} and {beside}: both hold labels; put all of them into one file and name it by "
            "dataset.labels"
        )
    found = next((path for path in (configured, str(own)) if path and Path(path).exists()), None)
    data = replace(config.dataset, labels=found).partly_labelled(
        cache_dir(config.cache_dir), display
    )
    if configured is not None:
        if found != configured:
            refuse_export(Path(configured), f"dataset.labels={configured}")
            display.say(f"note: {configured}: does not exist yet")
        return data, Path(configured)
    return data, own if data.labels_file is None else Path(data.labels_file)


def open_campaign(
    config: RunConfig, folder: Path, data: PartlyLabelled, labels_file: Path, display: Display
) -> Campaign:
    """Compute the features of a pool, or read them from the cache.

    Raises:
        InputError: data, backbone and device do not go together.
    """
    setup = prepared(config, _as_dataset(data), time.perf_counter(), display)
    check_fits(setup, [config.posterior.likelihood], config.n_initial + config.batch.size)
    return Campaign(config, folder, labels_file, data, setup)


def _as_dataset(data: PartlyLabelled) -> Dataset:
    """Return a data set whose features are those of the pool; labels do not enter features."""
    none: IntArray = np.zeros(1, dtype=np.int64)
    test = data.pool.take(none) if data.test is None else data.test
    return Dataset(
        name=data.name,
        train=data.pool,
        train_labels=np.zeros(len(data.pool), dtype=np.int64),
        test=test,
        test_labels=np.zeros(len(test), dtype=np.int64),
        classes=data.classes,
        notes=data.notes,
    )
