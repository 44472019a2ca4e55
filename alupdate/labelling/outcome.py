"""What a campaign keeps from one command to the next: its model, and scores on a test set."""

import csv
import io
import math
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path

import numpy as np

from alupdate.config import RunConfig
from alupdate.config.values import RETRAIN
from alupdate.data.pool import Pool
from alupdate.experiment.kept_model import labels_of, saved_model_of, settings_digest
from alupdate.experiment.learning import score_model
from alupdate.labelling.campaign import Campaign
from alupdate.labelling.suggester import Suggester
from alupdate.models.learner import FrozenLearner, Model
from alupdate.models.model_files import model_file
from alupdate.models.saved import SavedModel, load_model
from alupdate.models.scales import Scale
from alupdate.results.records import CycleRecord, tables
from alupdate.utils.display import Display
from alupdate.utils.errors import InputError
from alupdate.utils.files import replace_file
from alupdate.utils.metrics import LATER_METRICS, SUMMARY

PROGRESS = "progress.csv"
"""Test scores of a campaign, a row for each number of labels with which they were computed."""


def keep_outcome(campaign: Campaign, suggester: Suggester, display: Display) -> None:
    """Keep the model after all labels, and its scores where there is a labelled test set."""
    pool = campaign.pool
    if not suggester.is_ready(pool):
        return
    model = suggester.model(pool)
    if campaign.config.keep_model is not False:
        _keep_model(campaign, model, pool, display)
    _keep_scores(campaign, suggester, model, display)


def start_from_kept_model(campaign: Campaign, suggester: Suggester, display: Display) -> None:
    """Let updates go on from the kept model, where it has learnt a part of the labels.

    That part must be the first ones, up to the end of a batch, under the same settings, with the
    same classes and the same scale of the features. The model is then, bit for bit, the one that
    all labels from the first on would give.
    """
    config, pool = campaign.config, campaign.pool
    if config.update.name == RETRAIN or not model_file(campaign.folder).is_file():
        return
    try:
        kept = load_model(campaign.folder, campaign.setup.device)
    except InputError as error:
        display.say(f"note: {error}; the model is trained from the labels")
        return
    batches, learner = suggester.batches(pool), campaign.setup.learner
    sizes = list(accumulate(len(indices) for indices, _ in batches))
    count = kept.facts.n_labelled
    if count not in sizes or not _is_part(kept, campaign, count):
        return
    assert isinstance(learner, FrozenLearner)
    suggester.start_from(batches[: sizes.index(count) + 1], learner.model(kept.posterior))


def _is_part(kept: SavedModel, campaign: Campaign, count: int) -> bool:
    """Return whether a kept model is that of the first labels of a campaign."""
    setup, pool = campaign.setup, campaign.pool
    first = Pool(pool.size, pool.indices[:count], pool.labels[:count], pool.reserved)
    return (
        kept.facts.settings == settings_digest(campaign.config)
        and kept.classes == setup.dataset.classes
        and kept.facts.labels == labels_of(setup, first, campaign.data.names)
        and _is_same(kept.scale, setup.scale)
    )


def _is_same(first: Scale | None, second: Scale | None) -> bool:
    if first is None or second is None:
        return first is second
    return np.array_equal(first.shift, second.shift) and np.array_equal(first.factor, second.factor)


def _keep_model(campaign: Campaign, model: Model, pool: Pool, display: Display) -> None:
    kept = saved_model_of(
        campaign.config, campaign.setup, model, pool, campaign.data.names, display
    )
    display.say(f"model: {kept.save(campaign.folder)}")


def _keep_scores(campaign: Campaign, suggester: Suggester, model: Model, display: Display) -> None:
    truth = campaign.test_labels
    if truth is None:
        return
    pool = campaign.pool
    scores = score_model(campaign.config, model, truth, pool)
    record = CycleRecord(
        cycle=len(suggester.batches(pool)) - 1,
        n_labelled=len(pool.indices),
        indices=tuple(pool.indices.tolist()),
        labels=tuple(pool.labels.tolist()),
        scores=scores,
        timings={},
    )
    path = campaign.folder / PROGRESS
    replace_file(path, with_row(path, campaign.folder.name, campaign.config, record))
    listed = ", ".join(f"{name} {scores[name]:.3f}" for name in SUMMARY)
    display.say(f"test set after {record.n_labelled} labels: {listed}")


def with_row(path: Path, name: str, config: RunConfig, record: CycleRecord) -> str:
    """Return the table of scores with the row of one more model, in the order of labels.

    Rows that were written before a metric was added have "nan" for it.

    Args:
        path: of the table so far, which need not exist.
        name: of the campaign.
        config: of the command.
        record: of the model; it replaces an earlier one after equally many labels.
    """
    text = tables(name, config, oracle=False, records=[record])["curve.csv"]
    header, row = list(csv.reader(io.StringIO(text)))
    found = path.read_text("utf-8", errors="replace") if path.is_file() else ""
    place = header.index("n_labelled")
    kept = [cells for cells in _former_rows(found, header) if cells[place].isdecimal()]
    rows = {int(cells[place]): cells for cells in [*kept, row]}
    written = io.StringIO()
    csv.writer(written, lineterminator="\n").writerows([header, *(rows[n] for n in sorted(rows))])
    return written.getvalue()


def _former_rows(text: str, header: Sequence[str]) -> list[list[str]]:
    """Return the whole rows of an earlier table of scores, in the order of ``header``."""
    names, *rows = list(csv.reader(io.StringIO(text))) or [[]]
    if not set(names) >= set(header) - set(LATER_METRICS):
        return []
    known = [dict(zip(names, cells, strict=True)) for cells in rows if len(cells) == len(names)]
    return [[cells.get(name, str(math.nan)) for name in header] for cells in known]
