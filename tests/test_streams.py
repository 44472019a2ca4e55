"""What happens to the output does not happen to the run, and names cannot steer a terminal."""

import os
import subprocess
import sys

import pytest

from alupdate.utils.display import Display, printable
from alupdate.utils.errors import explain_os_error, save_traceback
from tests.support.terminal import Conversation

SMALL = (
    "dataset=digits", "backbone=pixels", "n_cycles=0", "batch.size=2", "threads=1",
    "training.epochs=1",
)  # fmt: skip
NAME = "a [/b] [red]x \x1b[31m\x07 \u202e end"


def test_names_are_no_markup_and_no_control_characters(capsys):
    display = Display(enabled=True)
    display.say(NAME)
    display.complain(NAME)
    display.table(NAME, ["[/b]", "\x1b[1m"], [[NAME, "1"]])
    display.report(NAME, ["[/b]"], [[NAME]])
    with display.progress(NAME, 2) as advance:
        advance(2, NAME)
    captured = capsys.readouterr()
    for text in (captured.out, captured.err):
        assert r"a [/b] [red]x \x1b[31m\x07 \u202e end" in text
        assert not set(text) & set("\x1b\x07\u202e")


def test_one_line_stays_one_line():
    assert printable("a\nb\r\tc\x85 Käse") == r"a\nb\r\tc\x85 Käse"


def command(*arguments, **changes):
    return (
        [sys.executable, "-m", "alupdate.run", *SMALL, *arguments],
        os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)} | changes,
    )


def run_with(tmp_path, stdout, stderr, *arguments, **changes):
    line, environment = command(*arguments, **changes)
    return subprocess.run(
        line, env=environment, cwd=tmp_path, stdout=stdout, stderr=stderr, check=False
    ).returncode


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a device of Linux")
def test_a_full_disk_or_a_lost_reader_fails_no_run(tmp_path):
    with open("/dev/full", "w") as full:
        assert run_with(tmp_path, full, full) == 0
    reader, writer = os.pipe()
    os.close(reader)
    assert run_with(tmp_path, writer, writer, "seed=1") == 0
    os.close(writer)
    assert len(list(tmp_path.glob("results/default/*/curve.csv"))) == 2


def test_users_need_no_home_and_no_terminal_with_umlauts(tmp_path):
    line, environment = command("dataset.label='Käse'", PYTHONIOENCODING="ascii:strict")
    code = (
        "import os, pwd, sys\n"
        "def missing(uid): raise KeyError(f'getpwuid(): uid not found: {uid}')\n"
        "pwd.getpwuid = missing\n"
        "from alupdate.run import exit_code\n"
        "sys.exit(exit_code(sys.argv[1:]))\n"
    )
    for name in ("HOME", "USER", "LOGNAME", "ALUPDATE_CACHE", "XDG_CACHE_HOME"):
        environment.pop(name, None)
    changed = [sys.executable, "-c", code, *line[3:]]
    done = subprocess.run(changed, env=environment, cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert rb"K\xe4se" in done.stdout + done.stderr


def test_errors_of_the_system_are_not_all_failures_to_write():
    assert explain_os_error(FileNotFoundError(2, "No such file", "a.csv")) == "a.csv: No such file"
    assert explain_os_error(OSError(24, "Too many open files")) == "Too many open files"
    full = explain_os_error(OSError(28, "No space left on device", "r/x"))
    assert full == "r/x: No space left on device"


def test_tracebacks_are_kept_in_a_file():
    try:
        raise ValueError("odd \udce9")
    except ValueError as error:
        path = save_traceback(error)
    assert path is not None
    text = path.read_text()
    path.unlink()
    assert "odd" in text
    assert "test_streams.py" in text


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
def test_streams_that_were_closed_before_the_start(closed, tmp_path):
    code = (
        "import sys; from alupdate.utils.display import Display, protect_streams; "
        "protect_streams(); display = Display(True); display.say('a'); print('b'); "
        "display.table('c', ['d'], [['e']]); assert open('f', 'w').fileno() > 2"
    )
    shell = f'exec "$0" -c "$1" {closed}'
    ended = subprocess.run(
        ["bash", "-c", shell, sys.executable, code], cwd=tmp_path, check=False,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert ended.returncode == 0


def test_a_run_shows_its_bar_in_a_terminal(tmp_path):
    """And what is printed beside the bar: rich puts a stream of its own in the way."""
    small = ["dataset=digits", "backbone=pixels", "n_cycles=2", "training.epochs=3"]
    run = Conversation(tmp_path, *small)
    assert run.end() == 0, run.everything
    assert "3/3" in run.everything
    assert "results: results/default/digits-pixels" in run.everything
