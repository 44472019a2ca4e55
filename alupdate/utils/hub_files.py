"""Files of a repository on the Hugging Face Hub, downloaded once."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from alupdate.utils.errors import InputError


@dataclass(frozen=True)
class HubFiles:
    """Some files of a repository.

    Attributes:
        repository: OWNER/NAME.
        kind: of repository.
        patterns: of the wanted files' names.
        revision: branch, tag or commit.
    """

    repository: str
    kind: Literal["dataset", "model"]
    patterns: tuple[str, ...]
    revision: str = "main"


def download(
    wanted: HubFiles, where: str, remedy: str, folder: Path | None = None, allowed: bool = True
) -> Path:
    """Return a local folder with these files.

    One request lists them, and files that are there are not downloaded again. Without a network
    that request fails at once (a network that swallows it: after ten seconds), and the files of an
    earlier download are used.

    Args:
        wanted: which files.
        where: how to call them in an error message.
        remedy: what to do where they cannot be had, after "run this".
        folder: of downloads; None for the Hub's usual cache.
        allowed: False uses earlier downloads only.

    Raises:
        InputError: there is no such repository, or no network and no earlier download.
    """
    from huggingface_hub import snapshot_download

    try:
        found = snapshot_download(
            wanted.repository,
            repo_type=wanted.kind,
            revision=wanted.revision,
            cache_dir=folder,
            allow_patterns=list(wanted.patterns),
            local_files_only=not allowed,
        )
    except (OSError, ValueError) as error:
        state = "cannot be reached" if allowed else "is not asked"
        reason = _reason(error, wanted.repository, state)
        raise InputError(f"{where}: {reason}; run this {remedy}") from error
    return Path(found)


def _reason(error: Exception, repository: str, hub_state: str) -> str:
    from huggingface_hub.errors import LocalEntryNotFoundError, RepositoryNotFoundError

    if isinstance(error, RepositoryNotFoundError):
        return f"the Hugging Face Hub has no {repository}"
    if isinstance(error, LocalEntryNotFoundError):
        return f"{repository} is not on this machine, and the Hugging Face Hub {hub_state}"
    return f"{repository} cannot be downloaded ({' '.join(str(error).split())})"
