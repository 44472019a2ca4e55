"""Calls to something that may fail or hang, and must never hold up a run."""

import logging
import re
import time
from collections.abc import Callable
from threading import Thread

PATIENCE = 6.0
"""Seconds that a run loses at most, in all, to calls that fail."""
LIMIT = 4.0
"""Seconds that one call may take."""
log = logging.getLogger(__name__)


class Guard:
    """Makes calls one after the other, each with a time limit; of trouble it warns once.

    Each call has a thread of its own, so that one that never returns can be left behind, and it
    is waited for, so that it does not run beside work that is timed.
    """

    def __init__(self, what: str, say: Callable[[str], None]) -> None:
        self._what, self._say = what, say
        self._patience = PATIENCE
        self._last: Thread | None = None
        self._troubled, self._warned = False, False

    def attempt(self, call: Callable[[], object], extra: float = 0.0) -> None:
        """Make a call, unless patience is used up or an earlier call still hangs.

        Args:
            call: may raise anything, and may hang.
            extra: seconds that it may take longer, because it has work of its own to do.
        """
        if self._patience <= 0 or (self._last is not None and self._last.is_alive()):
            return
        errors: list[Exception] = []
        self._last = Thread(target=_run, args=(call, errors), daemon=True)
        start, limit = time.monotonic(), min(LIMIT, self._patience) + extra
        self._last.start()
        self._last.join(limit)
        if self._last.is_alive():
            errors.append(TimeoutError(f"no answer within {limit:g} s"))
        if errors:
            self._patience -= time.monotonic() - start
            self._warn(errors[0])
        elif self._troubled:
            log.info("%s: up to date again", self._what)
        self._troubled = bool(errors)

    def _warn(self, error: Exception) -> None:
        if self._warned:
            return
        self._warned = True
        line = (
            f"{self._what}: {_one_line(error)}; the run goes on, its files are not affected, and "
            "the tracker gets what it missed later in the run, or when the run is asked for again"
        )
        log.warning(line)
        self._say(f"warning: {line}")


def _run(call: Callable[[], object], errors: list[Exception]) -> None:
    try:
        call()
    except Exception as error:
        errors.append(error)


def _one_line(error: Exception) -> str:
    """Return the first line of an error, short, and without a password that a URI may hold."""
    line = (str(error).strip().splitlines() or [""])[0] or type(error).__name__
    cause = re.search(r"\(Caused by (\w+)\(", line)  # as of requests, at the end of a long line
    if cause is not None:
        return f"no connection, or no answer ({cause.group(1)})"
    return re.sub(r"//[^/@\s]*@", "//", line)[:300]
