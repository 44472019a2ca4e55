"""The command ``python -m alupdate.run KEY=VALUE ...``, and ``alupdate.run([...])`` in Python."""

import os
import signal
import sys
import traceback
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from types import FrameType, ModuleType
from typing import TYPE_CHECKING

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.types import RunMode
from omegaconf import DictConfig

from alupdate import __version__
from alupdate.config import LabelTask, RunConfig, ServeTask, StatusTask, SuggestTask
from alupdate.config.check import HYDRA_ERRORS, explain_hydra_error, parse_config
from alupdate.config.compose import CONFIG, VERSION_BASE, compose_config
from alupdate.config.extraction import check_no_sweep
from alupdate.config.loader import check_flags, checked_loading
from alupdate.config.overrides import check_arguments
from alupdate.experiment.job import RunError, run_job
from alupdate.report.commands import COMMANDS, run_command
from alupdate.sweep.command import SweepError
from alupdate.sweep.plan import check_sweep
from alupdate.sweep.status import show_overview
from alupdate.sweep.worker import JobError, run_and_score
from alupdate.utils.display import Display, forgiving, printable, protect_streams
from alupdate.utils.errors import (
    DONE,
    FAILED,
    INTERRUPTED,
    WRONG_INPUT,
    InputError,
    explain_os_error,
    first_line,
    redacted,
    save_traceback,
    suggestion,
)
from alupdate.utils.paths import conf_dir, experiment_dir

if TYPE_CHECKING:
    from alupdate.experiment.result import Overrides, RunResult

_MULTIRUN = {"-m", "--multirun"}
_SHOWS = {
    "-c", "--cfg", "-i", "--info", "-p", "--package", "--resolve", "--hydra-help",
}  # fmt: skip
"""Hydra's flags that show something instead of running."""
_WHERE = {"-cp", "--config-path", "-cn", "--config-name", "-cd", "--config-dir"}
_FLAGS = sorted(_MULTIRUN | _SHOWS | _WHERE | {"-sc", "--shell-completion"})


def main() -> None:
    """Run the command line and exit with its code."""
    protect_streams()
    signal.signal(signal.SIGTERM, _interrupt)
    sys.exit(exit_code(sys.argv[1:]))


def extract_features() -> None:
    """Extract and keep the features of a data set, as ``task=features`` does."""
    protect_streams()
    sys.exit(exit_code([*sys.argv[1:], "task=features"]))


def exit_code(arguments: list[str]) -> int:
    """Run the command line; return 0 done, 1 a run failed, 2 wrong input, 130 interrupted."""
    if arguments and arguments[0] in COMMANDS:
        return _guarded(lambda: run_command(arguments))
    if {"-h", "--help"} & set(arguments):
        from alupdate.config.help import help_text

        print(help_text())
        return DONE
    if "--version" in arguments:
        print(f"alupdate {__version__}")
        return DONE
    return _guarded(lambda: _run(arguments))


def _run(arguments: list[str]) -> int:
    """Run one job, or let Hydra do what one of its flags asks for, such as a sweep."""
    check_arguments(arguments)
    first = arguments[0] if arguments else ""
    if first.isidentifier() and (hint := suggestion(first, COMMANDS)):
        raise InputError(f"{first}: no such command; {hint}see --help")
    # Hydra prints its errors and exits with 1 unless it is told to raise them.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    overrides, flags = _separated(arguments)
    if flags or "task=rerun" in overrides:
        return _run_hydra(overrides, flags)
    return _run_one(compose_config(overrides))


def _run_hydra(overrides: list[str], flags: list[str]) -> int:
    """Let Hydra run a sweep or a search by the configured sweeper, or show something.

    Hydra takes no multirun flag where something is only shown; ``task=rerun`` implies it elsewhere.
    """
    for override in OverridesParser.create().parse_overrides(overrides):
        check_sweep(override)
    used = [flag for flag in flags if flag not in _MULTIRUN]
    if not any(flag.partition("=")[0] in _SHOWS for flag in flags):
        is_sweep = len(used) < len(flags) or "task=rerun" in overrides
        used += ["--multirun"] if is_sweep else []
    codes: list[int] = []

    def job(composed: DictConfig) -> float | None:
        if HydraConfig.get().mode is RunMode.MULTIRUN:
            return run_and_score(composed)
        codes.append(_guarded(lambda: _run_one(parse_config(composed))))
        return None

    sys.argv[1:] = [*overrides, *used]  # Hydra takes no flags between overrides
    main = hydra.main(version_base=VERSION_BASE, config_path=str(conf_dir()), config_name=CONFIG)
    with checked_loading():
        main(job)()
    return max(codes, default=DONE)


def _run_one(config: RunConfig) -> int:
    """Run the only job of a command."""
    check_no_sweep(config)
    if isinstance(config.task, StatusTask):
        folder = experiment_dir(config.experiment_dir, config.results_dir, config.experiment_name)
        show_overview(folder, Display(config.progress))
    elif isinstance(config.task, SuggestTask):
        from alupdate.labelling.suggest import suggest

        suggest(config, Display(config.progress))
    elif isinstance(config.task, LabelTask):
        from alupdate.labelling.label import label

        label(config, Display(config.progress))
    elif isinstance(config.task, ServeTask):
        _serve(config)
    else:
        run_job(config)
    return DONE


def _serve(config: RunConfig) -> None:
    try:
        from alupdate.labelstudio.serve import serve
    except ImportError as error:
        raise InputError(f"task=serve: {error}; pip install 'alupdate[labelstudio]'") from error
    serve(config, Display(config.progress))


def _guarded(step: Callable[[], int]) -> int:
    """Return the exit code of a step; one that fails says so in one line."""
    try:
        return step()
    except SweepError as error:  # its summary says what is wrong
        return error.code
    except JobError as error:
        code = WRONG_INPUT if error.result.outcome in ("invalid", "busy") else FAILED
        return _say(f"{error.result.outcome}: {error.result.reason}", code)
    except KeyboardInterrupt:
        return _say("interrupted; the same command resumes the run", INTERRUPTED)
    except Exception as error:
        return _say_error(error)


def _say_error(error: Exception) -> int:
    """Say in one line what went wrong; the traceback of what nothing foresees goes to a file."""
    if isinstance(error, RunError):
        return _say(f"failed: {error}", FAILED)
    if isinstance(error, (InputError, OSError, *HYDRA_ERRORS)):
        return _say(f"error: {_explain(error)}", WRONG_INPUT)
    if _comes_from(error, "optuna"):
        return _say(f"error: hydra/sweeper=optuna: {first_line(error)}", WRONG_INPUT)
    path = save_traceback(error)
    details = "" if path is None else f" (details in {path})"
    return _say(f"failed: {first_line(error, typed=True)}{details}", FAILED)


def _comes_from(error: Exception, package: str) -> bool:
    """Return whether an error was raised in a package, or in what it called."""
    files = [frame.filename for frame in traceback.extract_tb(error.__traceback__)]
    return any(package in Path(file).parts for file in files[-3:])


def _explain(error: Exception) -> str:
    if isinstance(error, HYDRA_ERRORS):  # first: some of them are OSErrors, too
        return explain_hydra_error(error)
    return explain_os_error(error) if isinstance(error, OSError) else str(error)


def _separated(arguments: list[str]) -> tuple[list[str], list[str]]:
    """Return the overrides, and Hydra's flags with their values.

    Raises:
        InputError: a flag is unknown or has a wrong value.
    """
    overrides, flags = list[str](), list[str]()
    for previous, argument in pairwise(["", *arguments]):
        name = argument.partition("=")[0]
        if argument.startswith("-") and name not in _FLAGS:
            hint = suggestion(name, _FLAGS)
            raise InputError(f"{name}: no such flag; {hint}see --help and --hydra-help")
        is_value = previous in _SHOWS | _WHERE and "=" not in argument
        (flags if argument.startswith("-") or is_value else overrides).append(argument)
    check_flags(flags)
    return overrides, flags


def _interrupt(number: int, frame: FrameType | None) -> None:
    """Let a batch system's signal end a command as Ctrl-C does: in order."""
    raise KeyboardInterrupt


def _say(line: str, code: int) -> int:
    print(printable(redacted(line)), file=forgiving(sys.stderr))
    return code


class _CallableModule(ModuleType):
    """Lets ``alupdate.run`` be called, since Python binds that name to this module."""

    def __call__(self, overrides: "Overrides" = (), /) -> "RunResult":
        from alupdate.experiment.result import run

        return run(overrides)


sys.modules[__name__].__class__ = _CallableModule

if __name__ == "__main__":
    main()
