"""The command: ``python -m alupdate.run KEY=VALUE ...``."""

import os
import signal
import sys
from collections.abc import Callable
from types import FrameType

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from alupdate.config import StatusTask
from alupdate.config.check import HYDRA_ERRORS, explain_hydra_error, parse_config
from alupdate.experiment.job import RunError, run_job
from alupdate.report.commands import COMMANDS, run_command
from alupdate.sweep.status import show_overview
from alupdate.sweep.worker import JobError, run_and_score
from alupdate.utils.display import Display
from alupdate.utils.errors import InputError, explain_os_error
from alupdate.utils.paths import conf_dir, experiment_dir

DONE, FAILED, WRONG_INPUT, INTERRUPTED = 0, 1, 2, 130
MULTIRUN = {"-m", "--multirun"}
SHOWS = {"-c", "--cfg", "-i", "--info", "-p", "--package", "--resolve", "--hydra-help"}
"""Hydra's flags that show something instead of running."""


def main() -> None:
    """Run the command line and exit with its code."""
    signal.signal(signal.SIGTERM, _interrupt)
    sys.exit(exit_code(sys.argv[1:]))


def extract_features() -> None:
    """Extract and keep the features of a data set, as ``task=features`` does."""
    sys.exit(exit_code([*sys.argv[1:], "task=features"]))


def exit_code(arguments: list[str]) -> int:
    """Run the command line; return 0 done, 1 a run failed, 2 wrong input, 130 interrupted."""
    if arguments and arguments[0] in COMMANDS:
        return run_command(arguments)
    if {"-h", "--help"} & set(arguments):
        from alupdate.config.help import help_text

        print(help_text())
        return DONE
    return _guarded(lambda: _run(arguments))


def _run(arguments: list[str]) -> int:
    """Run one job or a sweep; Hydra's main function does only what has a flag of Hydra's."""
    _refuse_targets(arguments)
    # Hydra prints its errors and exits with 1 unless it is told to raise them.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    if _is_sweep(arguments):
        from alupdate.sweep.command import run_sweep

        return run_sweep([argument for argument in arguments if argument not in MULTIRUN])
    if any(argument.startswith("-") for argument in arguments):
        return _run_hydra(_multirun_first(arguments))
    with hydra.initialize_config_dir(str(conf_dir()), job_name="alupdate", version_base="1.3"):
        composed = hydra.compose("config", arguments)
    return _run_one(composed)


def _run_hydra(arguments: list[str]) -> int:
    """Let Hydra show a config, or search by one of its sweepers."""
    codes: list[int] = []

    def job(composed: DictConfig) -> float | None:
        if HydraConfig.get().mode is RunMode.MULTIRUN:
            return run_and_score(composed)
        codes.append(_guarded(lambda: _run_one(composed)))
        return None

    sys.argv[1:] = arguments
    hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name="config")(job)()
    return max(codes, default=DONE)


def _run_one(composed: DictConfig) -> int:
    """Run the only job of a command."""
    config = parse_config(composed)
    if isinstance(config.task, StatusTask):
        folder = experiment_dir(config.experiment_dir, config.results_dir, config.experiment_name)
        show_overview(folder, Display(config.progress))
    else:
        run_job(config)
    return DONE


def _guarded(step: Callable[[], int]) -> int:
    """Return the exit code of a step; one that fails says so in one line."""
    try:
        return step()
    except JobError as stopped:
        code = WRONG_INPUT if stopped.ending.outcome in ("refused", "busy") else FAILED
        return _say(f"{stopped.ending.outcome}: {stopped.ending.reason}", code)
    except RunError as error:
        return _say(f"failed: {error}", FAILED)
    except KeyboardInterrupt:
        return _say("interrupted; the same command resumes the run", INTERRUPTED)
    except (InputError, OSError, *HYDRA_ERRORS) as error:
        return _say(f"error: {_explain(error)}", WRONG_INPUT)


def _is_sweep(arguments: list[str]) -> bool:
    """Return whether the command is a sweep of ours, not a search by another Hydra sweeper."""
    wanted = "task=rerun" in arguments or MULTIRUN & set(arguments)
    searches = any(argument.startswith("hydra/sweeper=") for argument in arguments)
    return bool(wanted) and not searches and not _only_shows(arguments)


def _only_shows(arguments: list[str]) -> bool:
    return any(argument.partition("=")[0] in SHOWS for argument in arguments)


def _explain(error: Exception) -> str:
    if isinstance(error, HYDRA_ERRORS):  # first: some of them are OSErrors, too
        return explain_hydra_error(error)
    return explain_os_error(error) if isinstance(error, OSError) else str(error)


def _multirun_first(arguments: list[str]) -> list[str]:
    """Move the multirun flag to the front, since Hydra does not take it between overrides.

    It is left out where a config is only shown.
    """
    rest = [argument for argument in arguments if argument not in MULTIRUN]
    return rest if _only_shows(arguments) or len(rest) == len(arguments) else ["-m", *rest]


def _refuse_targets(arguments: list[str]) -> None:
    for argument in arguments:
        if "_target_" in argument:
            raise InputError(f"{argument}: configs never name Python objects; remove this key")


def _interrupt(number: int, frame: FrameType | None) -> None:
    """Let a batch system's signal end a command as Ctrl-C does: in order."""
    raise KeyboardInterrupt


def _say(line: str, code: int) -> int:
    print(line, file=sys.stderr)
    return code


if __name__ == "__main__":
    main()
