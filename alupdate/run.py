"""The command: ``python -m alupdate.run KEY=VALUE ...``."""

import os
import sys

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from alupdate.errors import InputError
from alupdate.job import RunError, run_job
from alupdate.paths import conf_dir
from alupdate.validate import HYDRA_ERRORS, explain_hydra_error, parse_config

DONE, FAILED, WRONG_INPUT, INTERRUPTED = 0, 1, 2, 130


class JobError(Exception):
    """A job of a multirun ended early and has said why; carries the exit code."""


def main() -> None:
    """Run the command line and exit with its code."""
    sys.exit(exit_code(sys.argv[1:]))


def extract_features() -> None:
    """Extract and keep the features of a data set, as ``task=features`` does."""
    sys.exit(exit_code([*sys.argv[1:], "task=features"]))


def exit_code(arguments: list[str]) -> int:
    """Run the command line; return 0 done, 1 a run failed, 2 wrong input, 130 interrupted."""
    if {"-h", "--help"} & set(arguments):
        from alupdate.help import help_text

        print(help_text())
        return DONE
    try:
        return _run_hydra(arguments)
    except JobError as stopped:
        return int(stopped.args[0])
    except KeyboardInterrupt:
        return _say("interrupted; the same command resumes the run", INTERRUPTED)
    except (InputError, OSError, *HYDRA_ERRORS) as error:
        return _say(f"error: {_explain(error)}", WRONG_INPUT)


def _run_hydra(arguments: list[str]) -> int:
    """Let Hydra compose and start the job or jobs; return the worst exit code."""
    codes: list[int] = []

    def job(composed: DictConfig) -> None:
        code = _run_composed(composed)
        codes.append(code)
        # In a multirun the launcher may be in another process: an exception is the only way back.
        if code != DONE and HydraConfig.get().mode is RunMode.MULTIRUN:
            raise JobError(code)

    _refuse_targets(arguments)
    # Hydra prints its errors and exits with 1 unless it is told to raise them.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    sys.argv[1:] = _multirun_first(arguments)
    hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name="config")(job)()
    return max(codes, default=DONE)


def _explain(error: Exception) -> str:
    if isinstance(error, HYDRA_ERRORS):  # first: some of them are OSErrors, too
        return explain_hydra_error(error)
    if isinstance(error, OSError):
        return f"results_dir: cannot write {error.filename} ({error.strerror})"
    return str(error)


def _run_composed(composed: DictConfig) -> int:
    """Run one job and return its exit code; a job that fails says so itself, in one line."""
    try:
        run_job(parse_config(composed))
    except InputError as error:
        return _say(f"error: {error}", WRONG_INPUT)
    except RunError as error:
        return _say(f"failed: {error}", FAILED)
    return DONE


def _multirun_first(arguments: list[str]) -> list[str]:
    """Move the multirun flag to the front, since Hydra does not take it between overrides."""
    flags = {"-m", "--multirun"}
    rest = [argument for argument in arguments if argument not in flags]
    return rest if len(rest) == len(arguments) else ["-m", *rest]


def _refuse_targets(arguments: list[str]) -> None:
    for argument in arguments:
        if "_target_" in argument:
            raise InputError(f"{argument}: configs never name Python objects; remove this key")


def _say(line: str, code: int) -> int:
    print(line, file=sys.stderr)
    return code


if __name__ == "__main__":
    main()
