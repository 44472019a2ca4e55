"""What a sweep says at its end: how many runs are done, and which failed and why."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from alupdate.display import Display
from alupdate.sweep.manifest import MANIFEST, variant
from alupdate.sweep.plan import PlannedRun
from alupdate.sweep.rounds import Settled

FAILURES_SHOWN = 20
LABELS = ("completed", "already done", "failed", "refused", "left")
BAD = ("failed", "refused")


def label(run: PlannedRun, settled: Settled) -> str:
    """Return how a run of a sweep ended, in the words of the summary."""
    ending = settled.endings.get(run.path)
    if ending is None:
        return "left"
    if ending.outcome == "done":
        return "already done" if run.is_finished else "completed"
    return "refused" if ending.outcome == "refused" else "failed"


def show_summary(runs: Sequence[PlannedRun], settled: Settled, display: Display) -> None:
    """Print the counts, the failures with their reasons, and how to run those again."""
    counts: dict[str, Counter[str]] = {}
    for run in runs:
        counts.setdefault(variant(run.path.name), Counter())[label(run, settled)] += 1
    total = sum(counts.values(), Counter[str]())
    used = [name for name in LABELS if total[name]]
    rows = [[name, *(str(count[column]) for column in used)] for name, count in counts.items()]
    rows.append([f"all {len(runs)}", *(str(total[column]) for column in used)])
    display.table("sweep", ["runs", *used], rows)
    if settled.breakdown is not None:
        display.complain(f"failed: the launcher gave up: {settled.breakdown}")
    _show_failures([run for run in runs if label(run, settled) in BAD], settled, display)
    for folder in experiments(runs):
        display.say(f"manifest: {folder / MANIFEST}")


def experiments(runs: Sequence[PlannedRun]) -> list[Path]:
    """Return the directories of the runs' experiments."""
    return list(dict.fromkeys(run.path.parent for run in runs))


def _show_failures(bad: Sequence[PlannedRun], settled: Settled, display: Display) -> None:
    for run in bad[:FAILURES_SHOWN]:
        reason = settled.endings[run.path].reason or "no reason is known"
        often = ""
        if run.is_given_up:
            often = f" (not tried again after {run.before.failures} failures; max_failures=null)"
        display.complain(f"{label(run, settled)}: {run.path.name}: {reason}{often}")
    if len(bad) > FAILURES_SHOWN:
        display.complain(f"... and {len(bad) - FAILURES_SHOWN} more in {MANIFEST}")
    for folder in experiments(bad):
        display.complain(
            f"run only these again: python -m alupdate.run task=rerun experiment_dir={folder}"
        )
