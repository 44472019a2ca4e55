"""The model versions under which a backend writes its predictions, told from all others."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

KEPT = timedelta(hours=24)
"""How old predictions are deleted. Label Studio refuses the annotation of somebody whose screen
shows a prediction that is gone, and reserves a task for that long."""


OURS = "alupdate-"
"""How the model versions of all backends of this program begin."""


class Versions:
    """Names of model versions, which say how many labels the model has seen.

    Example:
        >>> versions = Versions("3f2a9c", ["alupdate-3f2a9c-12-labels", "another"])
        >>> versions.next(11), versions.next(12), versions.next(12)
        ('alupdate-3f2a9c-11-labels', 'alupdate-3f2a9c-12-labels-2', 'alupdate-3f2a9c-12-labels-3')
    """

    def __init__(self, backend: str, used: Iterable[str] = ()) -> None:
        """Make ready.

        Args:
            backend: tells this backend from others.
            used: versions that there are in the project.
        """
        self._prefix = f"{OURS}{backend}-"
        self._used = {name for name in used if name.startswith(self._prefix)}

    def next(self, n_labelled: int) -> str:
        """Return a version that was not used yet."""
        first = f"{self._prefix}{n_labelled}-labels"
        name, number = first, 1
        while name in self._used:
            number += 1
            name = f"{first}-{number}"
        self._used.add(name)
        return name

    def is_of_another(self, version: str) -> bool:
        """Return whether a version is of another backend of this program."""
        return version.startswith(OURS) and not version.startswith(self._prefix)

    def outdated(
        self, found: Iterable[Mapping[str, Any]], current: str, now: datetime | None = None
    ) -> list[str]:
        """Return this backend's versions whose predictions nobody has on screen any more.

        Args:
            found: the versions of the project, as Label Studio describes them.
            current: the version of the project.
            now: the time; None for this moment.
        """
        limit = (now or datetime.now(UTC)) - KEPT
        return [
            str(version["model_version"])
            for version in found
            if str(version.get("model_version", "")).startswith(self._prefix)
            and version["model_version"] != current
            and _time(version) < limit
        ]


def _time(version: Mapping[str, Any]) -> datetime:
    """Return when a version's latest prediction was written; now where that is not said."""
    try:
        return datetime.fromisoformat(str(version["latest"]))
    except (KeyError, ValueError):
        return datetime.now(UTC)
