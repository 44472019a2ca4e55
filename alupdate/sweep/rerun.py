"""``task=rerun``: the failed runs of an experiment, by its manifest."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from hydra.core.override_parser.types import Override

from alupdate.config import HOW_TO_RUN, PLACES
from alupdate.errors import InputError
from alupdate.sweep.manifest import MANIFEST, current_row, read_manifest
from alupdate.sweep.overrides import expand, parse_overrides


def failed_jobs(folder: Path, given: Sequence[Override]) -> list[list[str]]:
    """Return the overrides of an experiment's runs that failed or were refused, however often.

    How to run them (threads, device, ...) can be said anew on the command line; what they are
    cannot.

    Raises:
        InputError: there is no such experiment, nothing failed in it, or other keys are given.
    """
    for override in given:
        if override.key_or_group not in HOW_TO_RUN | {"task"}:
            raise InputError(
                f"{override.input_line}: cannot change with task=rerun, which runs what "
                f"{MANIFEST} says"
            )
    if not folder.is_dir():
        raise InputError(f"experiment_dir={folder}: no such directory")
    place = [f"results_dir={folder.parent}", f"experiment_name={folder.name}"]
    anew = [o.input_line or "" for o in given if o.key_or_group in HOW_TO_RUN - PLACES]
    jobs = []
    for row in read_manifest(folder):
        standing = current_row(folder / row.run, shlex.split(row.overrides))
        if standing.state == "failed" or (row.state, standing.state) == ("refused", "waiting"):
            overrides = [*shlex.split(row.overrides), *place, "max_failures=null", *anew]
            jobs += expand({}, parse_overrides(overrides))
    if not jobs:
        raise InputError(f"experiment_dir={folder}: nothing failed in it")
    return jobs
