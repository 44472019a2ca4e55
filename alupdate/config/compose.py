"""From overrides to a checked config, beside whatever else uses Hydra in this process."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy

import hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.core.object_type import ObjectType
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.version import VersionBase
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from alupdate.config.check import HYDRA_ERRORS, explain_hydra_error, parse_config
from alupdate.config.loader import checked_loading
from alupdate.config.overrides import check_arguments
from alupdate.config.schema import RunConfig
from alupdate.utils.errors import InputError
from alupdate.utils.paths import conf_dir

CONFIG, JOB_NAME, VERSION_BASE = "config", "alupdate", "1.3"
"""The primary config, the name of the application, and the version of Hydra's behaviour."""
_COMPOSERS: dict[tuple[object, ...], "Composer"] = {}
"""By path, time of change and size of the config files, overrides of Hydra's keys, and name."""
_NOT_FILES = ("pkg://", "structured://")
"""Beginnings of places that Hydra composes from besides folders."""


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
    with own_hydra():
        return _kept_composer().config(overrides)


def composer_of(master: DictConfig) -> "Composer":
    """Return what composes configs that share Hydra's own keys with a composed config."""
    common = OmegaConf.to_container(master.hydra.overrides.hydra, resolve=False)
    assert isinstance(common, list)
    return _kept_composer([str(override) for override in common], master.hydra.job.config_name)


def _kept_composer(common: Sequence[str] = (), name: str = CONFIG) -> "Composer":
    """Return the composer of this process.

    It is a new one where a config file has changed, or where files in other folders may change.
    """
    places = GlobalHydra.instance().config_loader().get_search_path().get_path()
    folders = [place.path for place in places if not place.path.startswith(_NOT_FILES)]
    if folders != [str(conf_dir())] or any("searchpath" in given for given in common):
        return Composer(common, name)
    stats = {path: path.stat() for path in conf_dir().rglob("*.yaml")}
    files = frozenset((path, stat.st_mtime_ns, stat.st_size) for path, stat in stats.items())
    key = (files, *common, name)
    if key not in _COMPOSERS:
        for outdated in [kept for kept in _COMPOSERS if kept[0] != files]:
            del _COMPOSERS[outdated]
        _COMPOSERS[key] = Composer(common, name)
    return _COMPOSERS[key]


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


def parse_overrides(arguments: Sequence[str]) -> list[Override]:
    """Return overrides as Hydra parses them; Hydra must be initialised."""
    loader = GlobalHydra.instance().config_loader()
    return OverridesParser.create(config_loader=loader).parse_overrides(list(arguments))


class Composer:
    """Composes the configs of many runs faster than Hydra does; Hydra must be initialised.

    Hydra takes a tenth of a second per config, nearly all of it for groups. So Hydra composes one
    config for each combination of groups, and plain values are put into copies of it.
    Where an override is Hydra's own, Hydra composes anew.

    Args:
        common: overrides of Hydra's own keys, for all runs.
        name: of the primary config.
    """

    def __init__(self, common: Sequence[str] = (), name: str = CONFIG) -> None:
        self._common, self._name = list(common), name
        loader = GlobalHydra.instance().config_loader()
        self._groups = loader.get_group_options("", ObjectType.GROUP, name, self._common)
        self._composed: dict[tuple[str, ...], DictConfig] = {}

    def config(self, overrides: Sequence[str]) -> RunConfig:
        """Return the checked config of one run.

        Raises:
            InputError: the overrides or the config that they make are wrong.
        """
        try:
            return parse_config(self._compose(overrides))
        except HYDRA_ERRORS as error:
            raise InputError(explain_hydra_error(error)) from error

    def _compose(self, overrides: Sequence[str]) -> DictConfig:
        parsed = parse_overrides(overrides)
        if any(override.is_hydra_override() for override in parsed):
            return self._by_hydra(overrides)
        values = [override for override in parsed if self._is_plain_value(override)]
        groups = tuple(o.input_line or "" for o in parsed if not self._is_plain_value(o))
        if groups not in self._composed:
            self._composed[groups] = self._by_hydra(groups)
        config = deepcopy(self._composed[groups])
        try:
            for override in values:
                OmegaConf.update(config, override.key_or_group, override.value(), merge=True)
        except OmegaConfBaseException:  # Hydra words what is wrong
            return self._by_hydra(overrides)
        return config

    def _by_hydra(self, overrides: Sequence[str]) -> DictConfig:
        return hydra.compose(self._name, [*self._common, *overrides])

    def _is_plain_value(self, override: Override) -> bool:
        plain = not (override.is_add() or override.is_delete())
        return plain and override.package is None and not self._is_group(override.key_or_group)

    def _is_group(self, key: str) -> bool:
        return "/" in key or key in self._groups
