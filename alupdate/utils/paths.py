"""Directories of configs, experiments and caches."""

import os
import shlex
import stat
import tempfile
from pathlib import Path

import platformdirs

from alupdate.utils.errors import InputError

TRUST = "ALUPDATE_TRUST_CACHE"
"""The environment variable that accepts a cache which others can write."""


def conf_dir() -> Path:
    """Return the directory of the YAML configs: inside an installed wheel, or beside a checkout."""
    package = Path(__file__).resolve().parents[1]
    for candidate in (package / "conf", package.parent / "conf"):
        if (candidate / "config.yaml").is_file():
            return candidate
    raise InputError(f"no conf/config.yaml in or beside {package}; reinstall alupdate")


def experiment_dir(configured: str | None, results_dir: str, experiment_name: str) -> Path:
    """Return the directory of an experiment: as configured, or where its runs are written."""
    if configured is not None:
        return Path(expanded(configured))
    return Path(expanded(results_dir)) / experiment_name


def cache_dir(configured: str | None) -> Path:
    """Return where features are kept: as configured, $ALUPDATE_CACHE, or the user's cache.

    A user without a home directory, as containers have them, gets a folder for temporary files.
    """
    given = configured or os.environ.get("ALUPDATE_CACHE")
    if given:
        return Path(expanded(given))
    try:
        return Path(platformdirs.user_cache_dir("alupdate"))
    except (RuntimeError, KeyError):
        return Path(tempfile.gettempdir()) / f"alupdate-{os.getuid()}"


def expanded(path: str) -> str:
    """Return a path with a leading ``~`` or ``~user`` replaced by the home directory.

    Raises:
        InputError: there is no such home directory.
    """
    if not path.startswith("~"):
        return path
    try:
        return str(Path(path).expanduser())
    except RuntimeError as error:
        raise InputError(f"{path}: no home directory is known; give the whole path") from error


def cache_folder(cache: Path, name: str) -> Path:
    """Return a folder of the cache, made for this user only where it is not there.

    What is in the cache decides results, and checksums beside the files are no protection from
    who can write both. So a cache that others can write is not used unasked.

    Args:
        cache: the cache directory.
        name: of the folder in it.

    Raises:
        InputError: others can write the cache, and $ALUPDATE_TRUST_CACHE is not 1.
        OSError: the folder cannot be made.
    """
    folder = cache / name
    cache.parent.mkdir(parents=True, exist_ok=True)
    for part in (cache, folder):
        part.mkdir(mode=0o700, exist_ok=True)
        if os.name == "posix" and os.environ.get(TRUST) != "1":
            _refuse_shared(part, part.stat())
    return folder


def _refuse_shared(folder: Path, status: os.stat_result) -> None:
    if status.st_uid not in (0, os.geteuid()):
        reason, remedy = f"belongs to user {status.st_uid}", "name a folder of your own"
    elif status.st_mode & stat.S_IWOTH or (
        status.st_mode & stat.S_IWGRP and not _is_own_group(status.st_gid)
    ):
        reason, remedy = "can be written by others", f"run chmod go-w {shlex.quote(str(folder))}"
    else:
        return
    raise InputError(
        f"cache_dir: {folder} {reason}, who could change results; {remedy}, or set {TRUST}=1 if "
        "you trust them"
    )


def _is_own_group(number: int) -> bool:
    """Return whether a group is the user's private one, as many systems make for every user."""
    import grp
    import pwd

    try:
        group, user = grp.getgrgid(number), pwd.getpwuid(os.geteuid())
    except KeyError:
        return False
    return group.gr_name == user.pw_name and set(group.gr_mem) <= {user.pw_name}
