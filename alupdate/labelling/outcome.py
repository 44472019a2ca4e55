"""What a campaign leaves behind: its model, and how good that is on a test set."""

import csv
import io
from pathlib import Path

from alupdate.config import RunConfig
from alupdate.data.pool import Pool
from alupdate.experiment.kept_model import saved_model_of
from alupdate.experiment.learning import score_model
from alupdate.labelling.campaign import Campaign
from alupdate.labelling.suggester import Suggester
from alupdate.models.learner import Model
from alupdate.results.records import CycleRecord, tables
from alupdate.utils.display import Display
from alupdate.utils.files import replace_file
from alupdate.utils.metrics import SUMMARY

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


def _keep_model(campaign: Campaign, model: Model, pool: Pool, display: Display) -> None:
    kept = saved_model_of(
        campaign.config, campaign.setup, model, pool, campaign.data.names, display
    )
    display.say(f"model: {kept.save(campaign.folder)}")


def _keep_scores(campaign: Campaign, suggester: Suggester, model: Model, display: Display) -> None:
    truth = campaign.test_labels
    if truth is None:
        return
    scores = score_model(campaign.config, model, truth)
    pool = campaign.pool
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

    Args:
        path: of the table so far, which need not exist.
        name: of the campaign.
        config: of the command.
        record: of the model; it replaces an earlier one after equally many labels.
    """
    text = tables(name, config, oracle=False, records=[record])["curve.csv"]
    header, row = list(csv.reader(io.StringIO(text)))
    former = list(csv.reader(io.StringIO(path.read_text("utf-8")))) if path.is_file() else []
    kept = former[1:] if former[:1] == [header] else []
    place = header.index("n_labelled")
    rows = {int(cells[place]): cells for cells in [*kept, row]}
    written = io.StringIO()
    csv.writer(written, lineterminator="\n").writerows([header, *(rows[n] for n in sorted(rows))])
    return written.getvalue()
