"""Loads configs as Hydra does, without letting a file name Python objects or fill the memory.

Hydra calls what a config names in some places of its own: callbacks, launcher, sweeper, logging and
packages on the search path. Here only the plug-ins with presets are accepted there, and a YAML file
is checked before Hydra reads it. No public hook of Hydra comes before it calls them, so this
module, and no other, uses private ones.
"""

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from pathlib import Path
from typing import Any

import yaml
from hydra._internal import hydra as hydra_application
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_repository import ConfigRepository
from hydra._internal.utils import get_args_parser
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.object_type import ObjectType
from hydra.errors import HydraException
from hydra.plugins.config_source import ConfigResult
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from typing_extensions import override

from alupdate.utils.errors import InputError, cannot_read, first_line
from alupdate.utils.files import regular_bytes
from alupdate.utils.paths import conf_dir

INSTANTIATION_KEYS = frozenset({"_target_", "_partial_", "_args_"})
"""Keys by which Hydra calls what a config names."""

_SAMPLERS = ("Grid", "TPE", "Random", "CmaEs", "NSGAII", "MOTPE")
_ACCEPTED = {
    "hydra.launcher._target_": {
        "hydra._internal.core_plugins.basic_launcher.BasicLauncher",
        "hydra_plugins.hydra_joblib_launcher.joblib_launcher.JoblibLauncher",
        "hydra_plugins.hydra_submitit_launcher.submitit_launcher.LocalLauncher",
        "hydra_plugins.hydra_submitit_launcher.submitit_launcher.SlurmLauncher",
    },
    "hydra.sweeper._target_": {
        "hydra_plugins.hydra_alupdate_sweeper.AlupdateSweeper",
        "hydra._internal.core_plugins.basic_sweeper.BasicSweeper",
        "hydra_plugins.hydra_optuna_sweeper.optuna_sweeper.OptunaSweeper",
    },
    "hydra.sweeper.sampler._target_": {f"optuna.samplers.{name}Sampler" for name in _SAMPLERS},
}
"""What Hydra may instantiate, by key."""
_LOG_CLASSES = {
    f"logging.{n}" for n in ("StreamHandler", "FileHandler", "NullHandler", "Formatter")
}
_STREAMS = {"ext://sys.stdout", "ext://sys.stderr"}
_UNSAFE_VARIABLES = ("PYTHON", "LD_", "DYLD_")
_MAX_BYTES, _MAX_NODES, _MAX_DEPTH = 1_000_000, 100_000, 50
"""Of a YAML file; the nodes are counted after its aliases are expanded."""
_PLAIN_TAG = re.compile(
    r"tag:yaml\.org,2002:(null|bool|int|float|str|map|seq|merge|value|timestamp)"
)


@contextmanager
def checked_loading() -> Iterator[None]:
    """Let the applications of Hydra that start meanwhile load configs by ``CheckedLoader``."""
    names: Any = hydra_application
    before = names.ConfigLoaderImpl
    names.ConfigLoaderImpl = CheckedLoader
    try:
        yield
    finally:
        names.ConfigLoaderImpl = before


@contextmanager
def explained(where: str) -> Iterator[None]:
    """Turn what Hydra and PyYAML raise on odd files into one line, unless Hydra words it.

    Args:
        where: how to call the file or files.

    Raises:
        InputError: in place of such an error.
    """
    try:
        yield
    except yaml.YAMLError as error:
        raise InputError(_explain_yaml(where, error)) from error
    except RecursionError as error:
        raise InputError(f"{where}: files name one another under defaults, in a circle") from error
    except (HydraException, OmegaConfBaseException):
        raise
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputError(f"{where}: {first_line(error)}") from error


class CheckedLoader(ConfigLoaderImpl):
    """Hydra's loader; it refuses configs in which Hydra would call what they name."""

    def __init__(self, config_search_path: ConfigSearchPath) -> None:
        super().__init__(config_search_path)
        self.repository = CheckedRepository(config_search_path)

    @override
    def load_configuration(self, *args: Any, **kwargs: Any) -> DictConfig:
        with explained("the config"):
            composed = super().load_configuration(*args, **kwargs)
        refuse_calls(composed)
        return composed


class CheckedRepository(ConfigRepository):
    """Hydra's repository of config files; it checks YAML files and the search path."""

    @override
    def initialize_sources(self, config_search_path: ConfigSearchPath) -> None:
        for entry in config_search_path.get_path():
            scheme, _, package = str(entry.path).partition("://")
            own = package == "hydra.conf" or package.startswith("hydra_plugins.")
            if scheme == "pkg" and not own:
                raise InputError(
                    f"hydra.searchpath: {entry.path}: configs never name Python packages; give a "
                    "directory"
                )
        super().initialize_sources(config_search_path)

    @override
    def load_config(self, config_path: str) -> ConfigResult | None:
        source = self._find_object_source(config_path, ObjectType.CONFIG)
        if source is None or source.scheme() != "file" or Path(source.path) == conf_dir():
            return super().load_config(config_path)
        path = Path(source.path) / source._normalize_file_name(config_path)
        check_yaml(path)
        with explained(str(path)):
            return super().load_config(config_path)


def check_flags(flags: list[str]) -> None:
    """Refuse flags that Hydra does not understand; its own answer has many lines.

    Raises:
        InputError: a flag lacks its value, or has a wrong one.
        SystemExit: a flag only shows something, which was shown.
    """
    answer = io.StringIO()
    try:
        with redirect_stderr(answer):
            get_args_parser().parse_args(flags)
    except SystemExit as end:
        if not end.code:
            raise
        reason = answer.getvalue().rpartition("error: argument ")[2]
        raise InputError(f"{reason.strip()}; see --hydra-help") from end


def refuse_calls(composed: DictConfig) -> None:
    """Refuse a composed config in which Hydra would call what it names.

    Raises:
        InputError: naming the key.
    """
    own = composed.get("hydra")
    if own is None:
        return
    for key in own.callbacks:
        raise InputError(f"hydra.callbacks.{key}: callbacks are not supported; remove this key")
    for part in ("launcher", "sweeper"):
        if not isinstance(own.get(part), DictConfig):
            raise InputError(f"hydra.{part}={own.get(part)}: give hydra/{part}=NAME")
        for key, value in _leaves(own, part, "hydra"):
            if key.rpartition(".")[2] in INSTANTIATION_KEYS and value not in _ACCEPTED.get(key, ()):
                raise InputError(f"{key}={value}: not a plug-in that alupdate has a preset for")
            if key == "hydra.sweeper.custom_search_space" and value is not None:
                raise InputError(f"{key}={value}: configs never name Python objects; remove it")
    for part in ("job_logging", "hydra_logging"):
        for key, value in _leaves(own, part, "hydra"):
            _refuse_log_call(key, value)
    for name, value in own.job.env_set.items():
        if "=" in str(name) or "\0" in f"{name}{value}":
            raise InputError(f"hydra.job.env_set.{name}: no name or value of a variable")
        if str(name).upper().startswith(_UNSAFE_VARIABLES):
            raise InputError(f"hydra.job.env_set.{name}: decides what Python imports; remove it")


def _refuse_log_call(key: str, value: object) -> None:
    name = key.rpartition(".")[2]
    called = "()" in key.split(".") or name in INSTANTIATION_KEYS
    foreign = name == "class" and value not in _LOG_CLASSES
    imported = isinstance(value, str) and value.startswith("ext:") and value not in _STREAMS
    if called or foreign or imported:
        raise InputError(f"{key}={value}: configs never name Python objects; remove this key")


def _leaves(parent: DictConfig | ListConfig, key: Any, path: str) -> Iterator[tuple[str, object]]:
    """Yield the dotted keys below a node with their values, references resolved.

    A value that cannot be resolved yet is yielded as it is written.
    """
    here = f"{path}.{key}"
    try:
        value = None if OmegaConf.is_missing(parent, key) else parent[key]
    except OmegaConfBaseException:
        written: Any = OmegaConf.to_container(parent, resolve=False)
        value = written[key]
    if isinstance(value, DictConfig | ListConfig):
        keys = value if isinstance(value, DictConfig) else range(len(value))
        if not len(value):
            yield here, ""
        for inner in keys:
            yield from _leaves(value, inner, here)
    else:
        yield here, value


def check_yaml(path: Path) -> None:
    """Refuse a YAML file that is no plain data, or far too large once it is read.

    Raises:
        InputError: naming the file and the line.
    """
    try:
        size = path.stat().st_size
        if size > _MAX_BYTES:
            raise InputError(f"{path}: has {size} bytes; a config has {_MAX_BYTES} at most")
        root = yaml.compose(regular_bytes(path).decode(), Loader=yaml.SafeLoader)
        if not isinstance(root, yaml.MappingNode):
            raise InputError(f"{path}: must hold lines of the kind KEY: VALUE")
        _count(root, path, {}, 0)
    except OSError as error:
        raise cannot_read(str(path), error) from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: is no text in UTF-8 (byte {error.start})") from error
    except yaml.YAMLError as error:
        raise InputError(_explain_yaml(str(path), error)) from error
    except RecursionError as error:
        raise InputError(f"{path}: is nested too deeply") from error


def _explain_yaml(where: str, error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    line = "" if mark is None else f", line {mark.line + 1}"
    return f"{where}{line}: {getattr(error, 'problem', None) or first_line(error)}"


def _count(node: yaml.Node, path: Path, counts: dict[int, int], depth: int) -> int:
    """Return how many nodes a node becomes; ``counts`` has 0 for those that contain it."""
    where = f"{path}, line {node.start_mark.line + 1}"
    if id(node) in counts:
        if counts[id(node)] == 0:
            raise InputError(f"{where}: contains itself")
        return counts[id(node)]
    if depth > _MAX_DEPTH:
        raise InputError(f"{where}: is nested more than {_MAX_DEPTH} deep")
    if not _PLAIN_TAG.fullmatch(node.tag):
        raise InputError(f"{where}: the tag {node.tag} is not for configs; write plain values")
    counts[id(node)] = 0
    total = 1
    for child in node.value if isinstance(node, yaml.CollectionNode) else ():
        for part in child if isinstance(child, tuple) else (child,):
            total += _count(part, path, counts, depth + 1)
    if total > _MAX_NODES:
        raise InputError(f"{where}: has more than {_MAX_NODES} values once aliases are expanded")
    counts[id(node)] = total
    return total
