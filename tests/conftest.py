"""Settings shared by all tests."""

import itertools
import os
import signal

# Tests run on all cores already. Before torch and numpy are imported: both ask once, and alupdate
# keeps torch's answer as the default of ``threads``.
os.environ["OMP_NUM_THREADS"] = "1"

import pytest
from hypothesis import HealthCheck, settings

from tests.support.pictures import leave_pictures_out
from tests.support.processes import PRELOADED

# Property tests run the same examples every time, and no busy machine fails them.
settings.register_profile(
    "steady",
    derandomize=True,
    deadline=None,
    max_examples=50,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("steady")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # So it is in a job of the background, and in all that it starts; but tests press Ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)

NUMBERS = itertools.count()
"""Of tests in this process."""
LONG = ("test_real.py", "test_kill.py", "test_install.py", "test_docs.py", "test_extending.py")


def pytest_collection_modifyitems(items):
    """Start with the longest tests, so that no core waits for one of them at the end."""
    items.sort(key=lambda item: item.path.name not in LONG)


def pytest_terminal_summary(terminalreporter):
    """Say in one line why tests on a GPU were skipped."""
    skipped = terminalreporter.stats.get("skipped", [])
    count = sum("cuda" in report.keywords for report in skipped)
    if count:
        terminalreporter.write_line(f"no CUDA device: {count} tests on one were skipped")


@pytest.fixture(autouse=True, scope="session")
def shared_cache(tmp_path_factory):
    """Runs that several tests look at do not use the user's feature cache either."""
    os.environ["ALUPDATE_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(autouse=True, scope="session")
def quick_runs():
    """Runs in this process draw no pictures, unless a test asks ``run_command`` for them.

    Their jobs are forked from one server, whichever test starts it.
    """
    with pytest.MonkeyPatch.context() as patch:
        leave_pictures_out(patch)
        patch.setattr("alupdate.sweep.worker._PRELOADED", PRELOADED)
        yield


@pytest.fixture(autouse=True)
def own_cache(monkeypatch, tmp_path_factory):
    """No test reads or writes the user's feature cache, nor makes a folder that it does not use."""
    place = tmp_path_factory.getbasetemp() / "caches" / str(next(NUMBERS))
    monkeypatch.setenv("ALUPDATE_CACHE", str(place))


@pytest.fixture
def no_waiting():
    """End a test that waits for ever, such as for the writer of a pipe."""

    def stop(number, frame):
        pytest.fail("it waits")  # not TimeoutError, an OSError that readers explain

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(60)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)
