"""``task=suggest``: labels in, the next batch out, as files."""

from pathlib import Path

from alupdate.config import RunConfig, SuggestTask
from alupdate.data.dataset import Images, Vectors, kind_of
from alupdate.experiment.selection import Selector
from alupdate.labelling.answers import taken_in
from alupdate.labelling.batch_files import (
    BATCH,
    PAGE,
    ShownInstance,
    batch_csv,
    batch_page,
    shown_instances,
)
from alupdate.labelling.campaign import (
    Campaign,
    check_labelling,
    locked_folder,
    open_campaign,
    read_labels,
)
from alupdate.labelling.expected import CampaignForecaster, say_expected
from alupdate.labelling.label_studio_tasks import (
    CONFIG,
    TASKS,
    labelling_config,
    local_folder,
    object_name,
    serving_note,
    task_list,
)
from alupdate.labelling.outcome import keep_outcome, start_from_kept_model
from alupdate.labelling.suggester import Suggestions
from alupdate.utils.display import Display
from alupdate.utils.files import replace_file

FORMAT = "task.format=labelstudio"
MOST_ROWS = 10
"""Instances that are printed; the files have all of them."""


def suggest(config: RunConfig, display: Display) -> None:
    """Learn from all labels of a pool, choose the next batch, and write it to files.

    Raises:
        InputError: the data, the labels or the command are wrong; the last batch is as it was.
    """
    check_labelling(config)
    assert isinstance(config.task, SuggestTask)
    selector = Selector(config)
    with locked_folder(config) as folder:
        data, labels_file = read_labels(config, folder, display)
        for_label_studio = config.task.format == "labelstudio"
        if for_label_studio:
            object_name(kind_of(data.pool), FORMAT)
        data = taken_in(config, folder, data, labels_file, display)
        if for_label_studio:
            labelling_config(data.classes, kind_of(data.pool), FORMAT)
        campaign = open_campaign(config, folder, data, labels_file, display)
        suggester = campaign.suggester(selector)
        start_from_kept_model(campaign, suggester, display)
        chosen = suggester.suggest(campaign.pool, data.skipped)
        pictures = not isinstance(data.pool, Vectors)
        shown = shown_instances(data, chosen, pictures=pictures)
        _write_exchange(campaign, chosen, wanted=for_label_studio)
        _write(campaign, chosen, shown)
        keep_outcome(campaign, suggester, display)
        _say(campaign, chosen, shown, display)
        say_expected(CampaignForecaster(campaign, suggester), campaign.pool, display)


def _write(campaign: Campaign, chosen: Suggestions, shown: list[ShownInstance]) -> None:
    """Write the batch; the page, where there is something to look at, before the table."""
    data, folder = campaign.data, campaign.folder
    page = folder / PAGE
    if isinstance(data.pool, Vectors):
        page.unlink(missing_ok=True)
    else:
        replace_file(page, batch_page(campaign.name, data, chosen, shown))
    replace_file(folder / BATCH, batch_csv(shown))


def _write_exchange(campaign: Campaign, chosen: Suggestions, *, wanted: bool) -> None:
    """Write the files for Label Studio, or remove those of an earlier batch."""
    data, folder = campaign.data, campaign.folder
    if not wanted:
        for name in (TASKS, CONFIG):
            (folder / name).unlink(missing_ok=True)
        return
    replace_file(folder / CONFIG, labelling_config(data.classes, kind_of(data.pool), FORMAT))
    replace_file(folder / TASKS, task_list(data, chosen))


def _say(
    campaign: Campaign, chosen: Suggestions, shown: list[ShownInstance], display: Display
) -> None:
    data, folder = campaign.data, campaign.folder
    counts = f"{len(data.indices)} labelled, {len(data.skipped)} skipped of {len(data.names)}"
    if not len(chosen.indices):
        display.say(f"{campaign.name}: {counts}; every instance is labelled or skipped")
        return
    rows = [[str(i.rank), i.name, i.predicted, i.probability, i.score] for i in shown[:MOST_ROWS]]
    title = f"{campaign.name}: {counts}; the next {len(shown)} by {chosen.chosen_by}"
    display.table(title, ["rank", "instance", "predicted", "probability", "score"], rows)
    if campaign.config.batch.asks_after is not None:
        display.say(
            "note: batch=sequential waits for these labels before it picks more of the batch; "
            "batch.labels=sampled or batch=top_b gives a whole batch"
        )
    display.say(f"to label: {folder / BATCH}" + _page(folder))
    if (folder / TASKS).is_file():
        display.say(f"for Label Studio: {folder / TASKS}, {folder / CONFIG}")
        if isinstance(data.pool, Images) and (images := local_folder(data.pool)) is not None:
            display.say(f"note: {serving_note(images)}")
    display.say(f"labels: {campaign.labels_file}")


def _page(folder: Path) -> str:
    page = folder / PAGE
    return f", to look at: {page}" if page.is_file() else ""
