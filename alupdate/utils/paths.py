"""Directories of configs, experiments and caches."""

import os
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
    return Path(configured) if configured is not None else Path(results_dir) / experiment_name


def cache_dir(configured: str | None) -> Path:
    """Return where features are kept: as configured, $ALUPDATE_CACHE, or the user's cache."""
    if configured is not None:
        return Path(configured)
    return Path(os.environ.get("ALUPDATE_CACHE") or platformdirs.user_cache_dir("alupdate"))
