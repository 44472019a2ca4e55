"""Files of a repository on the Hugging Face Hub, downloaded once."""

from pathlib import Path
from typing import Literal

from alupdate.errors import InputError


def download(
    where: str,
    remedy: str,
    *,
    repository: str,
    kind: Literal["dataset", "model"],
    patterns: list[str],
    revision: str = "main",
    folder: Path | None = None,
    allowed: bool = True,
) -> Path:
    """Return a local folder with the files of a repository that match ``patterns``.

    One request lists the files, and files that are there are not downloaded again. Without a
    network that request fails at once (a network that swallows it: after ten seconds), and the
    files of an earlier download are used.

    Args:
        where: how to call the wanted thing in an error message.
        remedy: what to do where it cannot be had, after "run this".
        repository: OWNER/NAME.
        kind: of repository.
        patterns: of file names.
        revision: branch, tag or commit.
        folder: of downloads; None for the Hub's usual cache.
        allowed: False uses earlier downloads only.

    Raises:
        InputError: there is no such repository, or no network and no earlier download.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError, RepositoryNotFoundError

    try:
        found = snapshot_download(
            repository,
            repo_type=kind,
            revision=revision,
            cache_dir=folder,
            allow_patterns=patterns,
            local_files_only=not allowed,
        )
    except RepositoryNotFoundError as error:
        raise InputError(f"{where}: the Hugging Face Hub has no {repository}") from error
    except LocalEntryNotFoundError as error:
        reason = "cannot be reached" if allowed else "is not asked"
        raise InputError(
            f"{where}: {repository} is not on this machine, and the Hugging Face Hub {reason}; "
            f"run this {remedy}"
        ) from error
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{where}: {repository} cannot be downloaded ({reason})") from error
    return Path(found)
