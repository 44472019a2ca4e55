"""From the arguments of a multirun to the overrides of every job, and to the jobs' configs."""

import copy
import itertools
from collections.abc import Iterable, Mapping, Sequence

from hydra import compose
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from alupdate.config import RunConfig
from alupdate.errors import InputError
from alupdate.paths import conf_dir
from alupdate.validate import HYDRA_ERRORS, explain_hydra_error, parse_config

CONFIG = "config"


def parse_overrides(arguments: Sequence[str]) -> list[Override]:
    """Return arguments as Hydra reads them; to be called while Hydra is initialised."""
    loader = GlobalHydra.instance().config_loader()
    return OverridesParser.create(config_loader=loader).parse_overrides(list(arguments))


def expand(params: Mapping[str, object], given: Sequence[Override]) -> list[list[str]]:
    """Return the overrides of every job: all combinations of the values that are swept.

    Args:
        params: key to values, from ``hydra.sweeper.params`` of an experiment file.
        given: on the command line; they take the place of the file's.

    Raises:
        InputError: a sweep is over an interval, which only a search can do.
    """
    defaults = parse_overrides([f"{key}={value}" for key, value in params.items()])
    values: dict[str, list[str]] = {}
    for override in (*defaults, *given):
        key = override.get_key_element()
        if not override.is_sweep_override():
            values[key] = [f"{key}={override.get_value_element_as_str()}"]
        elif override.is_discrete_sweep():
            values[key] = [f"{key}={value}" for value in override.sweep_string_iterator()]
        else:
            raise InputError(
                f"{override.input_line}: an interval has no end of values; list some, or search "
                "with hydra/sweeper=optuna"
            )
    return [list(job) for job in itertools.product(*values.values())]


class Composer:
    """Composes the configs of many jobs; what jobs have in common is composed once.

    Hydra takes a tenth of a second per config, nearly all of it for groups. So configs are
    composed for every combination of groups, and plain values are put into copies of them.
    """

    def __init__(self, common: Sequence[str] = ()) -> None:
        """Start with nothing composed; ``common`` are overrides of Hydra's own keys."""
        self._common = list(common)
        self._composed: dict[tuple[str, ...], DictConfig] = {}

    def config(self, overrides: Sequence[str]) -> RunConfig:
        """Return the checked config of one job.

        Raises:
            InputError: the overrides or the config that they make are wrong.
        """
        try:
            return parse_config(self._compose(overrides))
        except HYDRA_ERRORS as error:
            raise InputError(explain_hydra_error(error)) from error

    def _compose(self, overrides: Sequence[str]) -> DictConfig:
        parsed = parse_overrides(overrides)
        values = [override for override in parsed if _is_plain_value(override)]
        groups = tuple(o.input_line or "" for o in parsed if not _is_plain_value(o))
        if groups not in self._composed:
            self._composed[groups] = compose(CONFIG, [*self._common, *groups])
        config = copy.deepcopy(self._composed[groups])
        try:
            _put(config, values)
        except OmegaConfBaseException:  # Hydra words what is wrong
            return compose(CONFIG, [*self._common, *overrides])
        return config


def _is_plain_value(override: Override) -> bool:
    plain = not (override.is_add() or override.is_delete() or override.is_hydra_override())
    return plain and override.package is None and not _is_group(override.key_or_group)


def _is_group(key: str) -> bool:
    return "." not in key and ("/" in key or (conf_dir() / key).is_dir())


def _put(config: DictConfig, values: Iterable[Override]) -> None:
    for override in values:
        OmegaConf.update(config, override.key_or_group, override.value(), merge=True)
