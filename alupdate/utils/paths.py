"""Directories of configs, experiments and caches."""

import os
import tempfile
from pathlib import Path

import platformdirs

from alupdate.utils.errors import InputError


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
