"""Turn a composed Hydra config into a RunConfig, and every complaint into one clear line."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any, get_args

from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException
from pydantic import TypeAdapter, ValidationError

from alupdate.config import (
    ActiveLearningTask,
    FeaturesTask,
    LabelTask,
    PredictTask,
    RerunTask,
    RunConfig,
    SequentialBatch,
    ServeTask,
    StatusTask,
    SuggestTask,
    UpdatingTask,
    run_prefix,
)
from alupdate.config.check_data import check_disturbances
from alupdate.config.check_labels import check_annotator, check_first_labels
from alupdate.config.extraction import check_extraction
from alupdate.config.forecasts import check_forecast
from alupdate.config.loader import INSTANTIATION_KEYS
from alupdate.config.options import PACKAGES, Option, make_option, options, requirement
from alupdate.config.overrides import how_to_quote
from alupdate.config.values import RETRAIN
from alupdate.laplace.names import MAP
from alupdate.utils.errors import InputError, first_line, suggestion
from alupdate.utils.paths import conf_dir


def parse_config(composed: DictConfig) -> RunConfig:
    """Check a composed config against the schema.

    Raises:
        InputError: unknown key, missing or wrong value, a ``_target_``, or settings that
            contradict each other.
    """
    try:
        tree = OmegaConf.to_container(composed, resolve=True, throw_on_missing=True)
    except MissingMandatoryValue as error:
        key = error.full_key or error.key
        raise InputError(f"{key}: a value is required, give {key}=...") from error
    except OmegaConfBaseException as error:
        raise InputError(first_line(error)) from error
    assert isinstance(tree, dict)
    return make_config(tree)


def make_config(tree: Mapping[Any, Any]) -> RunConfig:
    """Check a tree of settings, as YAML files hold it, against the schema.

    The options of data sets, backbones and strategies come last: their modules need PyTorch, and
    what is wrong elsewhere is said without it.

    Raises:
        InputError: as ``parse_config``.
    """
    refuse_targets(tree)
    try:
        config = TypeAdapter(RunConfig).validate_python(dict(tree))
    except ValidationError as error:
        raise InputError(_explain_validation(error)) from error
    if isinstance(config.task, StatusTask | RerunTask):  # about other runs: no options are used
        return config
    chosen: dict[str, Any] = {group: _option(group, tree[group]) for group in PACKAGES}
    config = replace(config, **chosen)
    _check_consistency(config)
    return config


def _option(group: str, settings: Any) -> Option:
    """Return the option that a part of a config describes.

    Raises:
        InputError: there is no such option, or its settings are wrong.
    """
    if not isinstance(settings, Mapping) or "name" not in settings:
        raise InputError(f"{group}: a name is required, as in {group}=OPTION")
    name, known = str(settings["name"]), sorted(options(group))
    if name not in known:
        hint = suggestion(name, known)
        raise InputError(
            f"{group}.name={name}: no such {group}; {hint}available: {', '.join(known)}"
        )
    try:
        return make_option(group, settings)
    except ValidationError as error:
        raise InputError(_explain_validation(error, group)) from error


def refuse_targets(tree: Any, path: str = "") -> None:
    """Raise InputError if any key of a nested config is a ``_target_``-like instantiation key."""
    if isinstance(tree, Mapping):
        for key, value in tree.items():
            here = f"{path}.{key}" if path else str(key)
            if str(key) in INSTANTIATION_KEYS:
                raise InputError(f"{here}: configs never name Python objects; remove this key")
            refuse_targets(value, here)
    elif isinstance(tree, list):
        for position, value in enumerate(tree):
            refuse_targets(value, f"{path}[{position}]")


def explain_hydra_error(error: Exception) -> str:
    """Return one line for an error that Hydra or OmegaConf raised while composing."""
    if isinstance(error, MissingConfigException) and error.missing_cfg_file and error.options:
        group, _, option = str(error.missing_cfg_file).rpartition("/")
        options = [str(name) for name in error.options]
        if group.partition("/")[0] in FOLDERED:
            group, _, option = str(error.missing_cfg_file).partition("/")
            options = sorted({*options, *_in_folders(group)})
        return (
            f"{group}={option}: no such {group}; {suggestion(option, options)}"
            f"available: {', '.join(options)}"
        )
    preset = re.search(r"In 'hydra/launcher/(\w+)': Could not load '.*/submitit_", str(error))
    if preset is not None:
        return f"hydra/launcher={preset.group(1)}: needs a plugin; pip install -e '.[slurm]'"
    unknown = re.search(r"Could not override '([^']+)'", str(error))
    if unknown is not None:
        return _unknown_key(unknown.group(1))
    return _explain_override(error)


def _explain_override(error: Exception) -> str:
    if isinstance(error, OverrideParseException):
        line = f"{error.override}: cannot be read as KEY=VALUE ({first_line(error)}); see --help"
        return line + how_to_quote(str(error.override))
    several = re.match(
        r"(?:Ambiguous value for argument|Sweep parameters) '(.+)'(?:\n| requires)", str(error)
    )
    if several is not None:
        return f"{several.group(1)}: a single run takes one value; -m runs one job for each"
    cause = error.__cause__
    if isinstance(cause, OmegaConfBaseException) and cause.full_key:
        return f"{cause.full_key}: {first_line(cause)}"
    return first_line(error)


HYDRA_ERRORS = (HydraException, OmegaConfBaseException)


def _explain_validation(error: ValidationError, *group: str) -> str:
    problems = [{**p, "loc": (*group, *p["loc"])} for p in error.errors(include_url=False)]
    line = _explain_problem(problems[0])
    return line if len(problems) == 1 else f"{line} (and {len(problems) - 1} more)"


def _explain_problem(problem: Mapping[str, Any]) -> str:
    key = ".".join(str(part) for part in _without_tags(problem["loc"]))
    kind, value = problem["type"], problem["input"]
    if kind == "unexpected_keyword_argument":
        return _unknown_key(key)
    if kind == "missing":
        return f"{key}: a value is required"
    if kind == "union_tag_invalid":
        allowed = problem["ctx"]["expected_tags"].replace("'", "").split(", ")
        tag = problem["ctx"]["tag"]
        hint = suggestion(tag, allowed)
        return f"{key}.name={tag}: no such {key}; {hint}available: {', '.join(allowed)}"
    if kind == "union_tag_not_found":
        return f"{key}: a name is required, as in {key}=OPTION"
    return f"{key}={value}: {requirement(problem['msg'])}"


def _without_tags(location: tuple[Any, ...]) -> tuple[Any, ...]:
    """Drop the element that names the chosen member of a union: ('dataset', 'npz', 'path')."""
    unions = {f.name for f in fields(RunConfig) if _members(f.type)}
    if len(location) > 2 and location[0] in unions:
        return (location[0], *location[2:])
    return location


def _members(annotation: Any) -> tuple[Any, ...]:
    """Return the dataclasses of a discriminated union, or an empty tuple."""
    arguments = get_args(annotation)
    inner = get_args(arguments[0]) if arguments else ()
    return tuple(member for member in inner if is_dataclass(member))


_LONGEST_NAME = 255
"""Bytes in the name of a file or folder."""
FOLDERED = {"experiment"}
"""Groups whose options lie in folders, too: experiment=FOLDER/OPTION."""
GLOBAL_PACKAGE = "the file must begin with the line # @package _global_"
MOVED = {
    "update.likelihood": "posterior.likelihood",
    "update.prior_precision": "posterior.prior_precision",
    "update.predictive": "posterior.predictive",
    "update.solver": "training.solver",
    "update.learning_rate": "training.learning_rate",
    "update.weight_decay": "training.weight_decay",
    "update.epochs": "training.epochs",
    "update.minibatch": "training.minibatch",
}
"""Keys of earlier versions, and what they are called now."""


def _in_folders(group: str) -> list[str]:
    """Return the options of a group that lie in folders: FOLDER/OPTION."""
    files = (conf_dir() / group).glob("*/*.yaml")
    return [f"{path.parent.name}/{path.stem}" for path in files]


def _unknown_key(key: str) -> str:
    if key == "experiment":
        return f"{key}: {GLOBAL_PACKAGE}"
    if key == "setting":
        return (
            f"{key}: an experiment that has a setting is required, such as "
            f"experiment=paper/gamma {key}=OPTION; and in a file of settings {GLOBAL_PACKAGE}"
        )
    if key in MOVED:
        return f"{key}: is now {MOVED[key]}"
    parent, _, last = key.rpartition(".")
    if parent in ("strategy.settings", "strategy.parameters"):
        return f"{key}: give {parent}={{{last}: VALUE}}"
    return f"{key}: no such key; {suggestion(key, sorted(set(_all_keys()) - {key}))}see --help"


def _all_keys() -> Iterator[str]:
    for top in fields(RunConfig):
        yield top.name
        chosen = options(top.name).values() if top.name in PACKAGES else _members(top.type)
        for schema in (*chosen, top.type):
            if is_dataclass(schema):
                yield from (f"{top.name}.{nested.name}" for nested in fields(schema))


USUAL_CANDIDATES = 1000
"""Of a query from the whole pool, whose size is not known yet."""


def _check_consistency(config: RunConfig) -> None:
    """Refuse combinations that cannot work, as far as they are known without the data."""
    if config.subset is not None and config.subset < config.batch.size:
        raise InputError(
            f"subset={config.subset}: must be at least batch.size={config.batch.size}, "
            "or null for the whole pool"
        )
    check_disturbances(config)
    _check_names(config)
    _check_kept_model(config)
    _check_costs(config)
    _check_label_studio(config)
    check_forecast(config)
    check_extraction(config)
    _check_backbone(config)
    check_first_labels(config)
    _check_likelihoods(config)
    _check_step_sizes(config)
    _check_batch(config)
    _check_stop(config)
    check_annotator(config)
    if isinstance(config.task, ActiveLearningTask):
        candidates = config.subset or max(USUAL_CANDIDATES, config.batch.size)
        config.strategy.try_out(2, config.n_initial, candidates, config.batch.size)
    if isinstance(config.task, UpdatingTask) and config.posterior.predictive != MAP:
        raise InputError(
            f"posterior.predictive={config.posterior.predictive}: task=updating compares map "
            "predictions"
        )


def _check_kept_model(config: RunConfig) -> None:
    """Refuse to keep, calibrate or use a model where there is none."""
    task, backbone = config.task.name, config.backbone
    makes_model = isinstance(config.task, ActiveLearningTask | SuggestTask | LabelTask | ServeTask)
    predicts = isinstance(config.task, PredictTask)
    if config.keep_model and not makes_model:
        raise InputError(f"keep_model=true: task={task} makes no model that could be kept")
    if config.keep_model and not backbone.frozen:
        raise InputError(
            f"keep_model=true: backbone={backbone.name} is trained end to end; a model is kept on "
            "fixed features only, so use a frozen backbone"
        )
    keeps = config.keep_model or (
        config.keep_model is None and not isinstance(config.task, ActiveLearningTask)
    )
    if config.calibrate and not predicts and not (makes_model and keeps):
        remedy = "add keep_model=true" if makes_model else f"task={task} has none"
        raise InputError(f"calibrate=true: is for a model that is kept; {remedy}")
    if config.model is not None and not predicts:
        raise InputError(f"model={config.model}: is for task=predict; task={task} does not use it")
    if config.model is None and predicts:
        raise InputError("model: a value is required, as in model=results/.../model.safetensors")


def _check_costs(config: RunConfig) -> None:
    """Refuse what a label costs where no labels are acquired from the data."""
    if isinstance(config.task, ActiveLearningTask):
        return
    for key in ("cost", "cost_column"):
        value = getattr(config.dataset, key, None)
        if value is not None:
            raise InputError(
                f"dataset.{key}={value}: is for task=active_learning; task={config.task.name} does "
                "not use it"
            )


def _check_label_studio(config: RunConfig) -> None:
    """Refuse settings of Label Studio, a token among them, where a run would keep them."""
    if isinstance(config.task, ServeTask):
        return
    for field in fields(config.labelstudio):
        if getattr(config.labelstudio, field.name) != field.default:
            raise InputError(
                f"labelstudio.{field.name}: is for task=serve; task={config.task.name} does not "
                "use it"
            )


def _check_names(config: RunConfig) -> None:
    """Refuse names of files that no file system takes, before a folder of them is made."""
    name = f"{run_prefix(config)}-{'0' * 8}"
    folders = [("results_dir", part) for part in Path(config.results_dir).parts]
    names = [("the name of the run", name), ("experiment_name", config.experiment_name)]
    for key, part in (*names, *folders):
        if _too_long(part):
            raise InputError(
                f"{key}: {part[:20]}... has {len(part.encode())} bytes; a file name can have "
                f"{_LONGEST_NAME}"
            )


def _too_long(name: str) -> bool:
    return len(name.encode()) > _LONGEST_NAME


def _check_backbone(config: RunConfig) -> None:
    backbone = config.backbone
    if config.training.solver == "lbfgs" and not backbone.frozen:
        raise InputError(
            "training.solver=lbfgs: finds the optimum of a linear layer and so needs a frozen "
            f"backbone; use training=recipe where backbone={backbone.name} is trained"
        )


def _check_batch(config: RunConfig) -> None:
    """Refuse constructions of batches that the strategy cannot give."""
    batch, strategy = config.batch, config.strategy
    if isinstance(batch, SequentialBatch) and batch.n_samples > 1 and batch.labels != "sampled":
        raise InputError(
            f"batch.n_samples={batch.n_samples}: is for labels that are drawn; add "
            "batch.labels=sampled"
        )
    batches = import_module("alupdate.strategies.batches")
    batches.require_utilities(type(strategy), batch, strategy.name)


def _check_stop(config: RunConfig) -> None:
    """Refuse stopping rules where there are no cycles, or what they look at is not defined."""
    stop, task, backbone = config.stop.name, config.task.name, config.backbone
    has_cycles = isinstance(config.task, ActiveLearningTask | FeaturesTask)  # or is ahead of them
    if stop != "none" and not has_cycles:
        raise InputError(f"stop={stop}: is for task=active_learning; task={task} does not use it")
    if "accuracy_plateau" in config.stop.used and not backbone.frozen:
        remedy = "use another rule" if stop == "accuracy_plateau" else "leave it out of stop.rules"
        raise InputError(
            f"stop={stop}: accuracy_plateau leaves labels out of the last layer, but features of "
            f"backbone={backbone.name} are trained on them, too; {remedy}"
        )


def _check_likelihoods(config: RunConfig) -> None:
    """Refuse update rules that do not support the likelihood of the posterior."""
    likelihood = config.posterior.likelihood
    for key, name in _rules_used(config):
        if likelihood not in _rules()[name].likelihoods:
            raise InputError(
                f"{key.removesuffix('.name')}={name}: does not work with "
                f"posterior.likelihood={likelihood}; {_supported(name, likelihood)}"
            )
    if isinstance(config.task, UpdatingTask):
        for i, method in enumerate(config.task.methods):
            if method.likelihood not in _rules()[method.update].likelihoods:
                raise InputError(
                    f"task.methods[{i}].likelihood={method.likelihood}: does not work with "
                    f"{method.update}; {_supported(method.update, method.likelihood)}"
                )


def _rules() -> Mapping[str, Any]:
    """Return the classes of the update rules by name; they need PyTorch, and are imported here."""
    found: Mapping[str, Any] = import_module("alupdate.laplace.rules").rule_classes()
    return found


def _supported(name: str, likelihood: str) -> str:
    """Return what to use instead of a rule with a likelihood that it does not support."""
    rules = [other for other, rule in _rules().items() if likelihood in rule.likelihoods]
    return f"use {' or '.join(rules)}, or likelihood {' or '.join(_rules()[name].likelihoods)}"


def _rules_used(config: RunConfig) -> Iterator[tuple[str, str]]:
    """Yield the keys that name the update rules which a run will use, and the names."""
    retrains = config.update.name == RETRAIN
    first = "update.compare_with" if retrains and config.update.compare else "update.name"
    for key in (first, "batch.update", "strategy.update"):
        group, field = key.split(".")
        name = getattr(getattr(config, group), field, None)
        if name is not None and name != RETRAIN:
            yield key, name


def _check_step_sizes(config: RunConfig) -> None:
    """Refuse gamma auto for rules whose step size cannot be chosen, or with too few labels."""
    if config.update.gamma == "auto":
        for key, name in _rules_used(config):
            if not _rules()[name].tunable:
                raise InputError(f"update.gamma=auto with {key}={name}: {_tunable()}")
        if config.n_initial < _labels_to_tune():
            raise InputError(
                f"n_initial={config.n_initial}: update.gamma=auto needs {_labels_to_tune()} or more"
            )
    if isinstance(config.task, UpdatingTask):
        _check_tuned_methods(config.task)


def _check_tuned_methods(task: UpdatingTask) -> None:
    tuned = [method for method in task.methods if "auto" in method.gammas]
    if not all(_rules()[method.update].tunable for method in tuned):
        raise InputError(f"task.methods: {_tunable()}")
    if tuned and min(task.initial_sizes) + min(task.new_sizes) < _labels_to_tune():
        raise InputError(
            f"task.initial_sizes and task.new_sizes: gamma auto needs {_labels_to_tune()} or more "
            "labels together"
        )


def _labels_to_tune() -> int:
    return int(import_module("alupdate.laplace.step_size").MIN_LABELS)


def _tunable() -> str:
    names = [name for name, rule in _rules().items() if rule.tunable]
    return f"gamma auto is for {' and '.join(names)}"
