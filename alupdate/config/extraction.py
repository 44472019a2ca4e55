"""The schema of ``extraction``: how several jobs share the extraction of features."""

from typing import TYPE_CHECKING, Annotated

from pydantic import Field
from pydantic.dataclasses import dataclass

from alupdate.config.values import SETTINGS, Natural
from alupdate.utils.errors import InputError

if TYPE_CHECKING:
    from alupdate.config.schema import RunConfig

SHARED_BY = ("features", "active_learning", "updating", "describe")
"""Tasks that a sweep can run, and that need features."""


@dataclass(frozen=True, config=SETTINGS)
class ExtractionConfig:
    """How several jobs share the extraction of the features of a data set.

    Attributes:
        shards: how many jobs a sweep starts for it.
        shard: which of them this one is, from 0; None for the features of all instances.
    """

    shards: Annotated[int, Field(strict=True, ge=1, le=10_000)] = 1
    shard: Natural | None = None

    @property
    def is_for_sweep(self) -> bool:
        """Whether jobs are yet to be made of it."""
        return self.shards > 1 and self.shard is None


def check_extraction(config: "RunConfig") -> None:
    """Refuse to share the extraction of features where it does not apply.

    Raises:
        InputError: of another task, or of a backbone that extracts nothing.
    """
    wanted, task = config.extraction, config.task.name
    if wanted == ExtractionConfig():
        return
    given = f"extraction.shards={wanted.shards}"
    if wanted.shard is not None:
        given = f"extraction.shard={wanted.shard}"
        if wanted.shard >= wanted.shards:
            raise InputError(
                f"{given}: must be less than extraction.shards={wanted.shards}; they are numbered "
                "from 0"
            )
        if task != "features":
            raise InputError(
                f"{given}: is for task=features; task={task} needs the features of all instances"
            )
    if task not in SHARED_BY:
        raise InputError(f"{given}: is for a sweep; task={task} is none")
    if not config.backbone.extracts:
        raise InputError(
            f"{given}: backbone={config.backbone.name} extracts no features that jobs could share"
        )


def check_no_sweep(config: "RunConfig") -> None:
    """Refuse to share the extraction among jobs where there is one job.

    Raises:
        InputError: naming what would be right.
    """
    if config.extraction.is_for_sweep:
        raise InputError(
            f"extraction.shards={config.extraction.shards}: a sweep starts a job for each; add -m, "
            "or extraction.shard=K for one of them"
        )
