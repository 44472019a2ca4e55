"""Real processes that start at once: a server that has imported torch forks them.

Each has its own arguments, working directory, environment, standard streams and exit code, and
can be killed. Where the start itself is what a test is about, it uses ``subprocess`` instead.
"""

import contextlib
import multiprocessing
import os
import runpy
import shutil
import sys
import tempfile
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from subprocess import CompletedProcess

ROOT = Path(__file__).parents[2]
STREAMS = {"stdout": 1, "stderr": 2}
PRELOADED = "tests.support.preload"
"""What the server imports; tests/conftest.py sees to it that sweeps start the same server."""


def start(target: Callable[..., None], *arguments: object) -> ForkServerProcess:
    """Call a function of a test module in a new process."""
    server = multiprocessing.get_context("forkserver")
    server.set_forkserver_preload([PRELOADED])  # of the server that the first call starts
    process = server.Process(target=target, args=arguments)
    with contextlib.chdir(ROOT):  # where a new server looks first for what it imports
        process.start()
    return process


@dataclass(frozen=True)
class RunningScript:
    """A process that runs a Python file, and the folder that its output goes to."""

    process: ForkServerProcess
    argv: list[str]
    output: Path

    def kill(self) -> None:
        self.process.kill()

    def finish(self) -> "CompletedProcess[str]":
        """Wait for the end; return exit code and output as ``subprocess.run`` does."""
        self.process.join()
        streams = [(self.output / name).read_text() for name in STREAMS]
        shutil.rmtree(self.output)
        assert self.process.exitcode is not None
        return CompletedProcess(self.argv, self.process.exitcode, *streams)


def start_script(
    script: str | Path, *arguments: object, folder: Path | None = None
) -> RunningScript:
    """Start ``python SCRIPT ARGUMENTS`` in a working directory, by default the current one."""
    return _start([str(script), *map(str, arguments)], folder, Path(tempfile.mkdtemp()))


def run_script(
    script: str | Path, *arguments: object, folder: Path | None = None
) -> "CompletedProcess[str]":
    """Run ``python SCRIPT ARGUMENTS`` in a working directory, by default the current one."""
    return start_script(script, *arguments, folder=folder).finish()


def start_code(code: str, *arguments: object, folder: Path | None = None) -> RunningScript:
    """Start ``python -c CODE ARGUMENTS``; the code may be indented."""
    output = Path(tempfile.mkdtemp())
    script = output / "code.py"
    script.write_text(textwrap.dedent(code))
    return _start([str(script), *map(str, arguments)], folder, output)


def _start(argv: list[str], folder: Path | None, output: Path) -> RunningScript:
    for name in STREAMS:
        (output / name).touch()
    process = start(_become, argv, Path(folder or Path.cwd()), dict(os.environ), output)
    return RunningScript(process, argv, output)


def _become(argv: list[str], folder: Path, environment: dict[str, str], output: Path) -> None:
    """Make the forked process what a new one would be, and run the script."""
    for name, descriptor in STREAMS.items():
        os.dup2(os.open(output / name, os.O_WRONLY), descriptor)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.argv = argv
    sys.path.insert(0, str(Path(argv[0]).parent))
    runpy.run_path(argv[0], run_name="__main__")
