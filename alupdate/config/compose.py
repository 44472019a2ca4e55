"""From overrides to a checked config, beside whatever else uses Hydra in this process."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.version import VersionBase

from alupdate.config.check import HYDRA_ERRORS, explain_hydra_error, parse_config
from alupdate.config.loader import checked_loading
from alupdate.config.overrides import check_arguments
from alupdate.config.schema import RunConfig
from alupdate.utils.errors import InputError
from alupdate.utils.paths import conf_dir

CONFIG, JOB_NAME, VERSION_BASE = "config", "alupdate", "1.3"
"""The primary config, the name of the application, and the version of Hydra's behaviour."""


def compose_config(overrides: Sequence[str]) -> RunConfig:
    """Return the checked config of one run.

    Args:
        overrides: ``KEY=VALUE``, as on the command line.

    Raises:
        InputError: the overrides, or the config that they make, are wrong.

    Example:
        >>> config = compose_config(["dataset=digits", "backbone=pixels", "seed=3"])
        >>> config.dataset.name, config.seed
        ('digits', 3)
    """
    check_arguments(overrides)
    try:
        with own_hydra():
            return parse_config(hydra.compose(CONFIG, list(overrides)))
    except HYDRA_ERRORS as error:
        raise InputError(explain_hydra_error(error)) from error


@contextmanager
def own_hydra() -> Iterator[None]:
    """Let Hydra compose the configs of this package.

    Hydra keeps its state in one object per process. An application that uses Hydra, too, finds it
    afterwards as it was.
    """
    outer, base = GlobalHydra.instance(), VersionBase.instance()
    application, version = outer.hydra, base.version_base
    outer.clear()
    try:
        with (
            checked_loading(),
            hydra.initialize_config_dir(
                str(conf_dir()), job_name=JOB_NAME, version_base=VERSION_BASE
            ),
        ):
            yield
    finally:
        outer.hydra = application
        GlobalHydra.set_instance(outer)
        base.version_base = version
