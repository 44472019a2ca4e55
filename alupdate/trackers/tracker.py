"""Points of a run, the protocol of trackers, and the guard of their calls."""

import logging
import math
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from threading import Thread
from typing import Any, Protocol

from alupdate.results.status import State
from alupdate.utils.errors import explain_os_error, first_line, redacted


@dataclass(frozen=True)
class Point:
    """The numbers of one finished step.

    Attributes:
        step: its place on the x-axis: the number of labels (in ``task=updating`` of the base
            model), so that runs with batches of different sizes lie on one axis.
        seconds: what it took.
        values: name to finite number; names of one kind share a prefix, as in ``seconds/select``.
    """

    step: int
    seconds: float
    values: dict[str, float]


class Tracker(Protocol):
    """Keeps the points of one run.

    Every call may raise anything and may hang, so it goes through a ``Guard``; each can be
    repeated.
    """

    @property
    def name(self) -> str:
        """Its name in a warning."""
        ...

    @property
    def place(self) -> str:
        """Where it keeps runs."""
        ...

    @property
    def extra_seconds(self) -> float:
        """How much longer than usual the next call may take."""
        ...

    def check(self) -> None:
        """Find out quickly whether runs can be kept."""
        ...

    def begin(self, anew: bool) -> None:
        """Find the run or add it, the first time; ``anew`` forgets what was kept of it before."""
        ...

    def send(self, points: Sequence[Point]) -> None:
        """Add the points that are not there yet."""
        ...

    def end(self, state: State) -> None:
        """Say how the run ended."""
        ...

    def is_complete(self) -> bool:
        """Return whether the run is there with all that belongs to it."""
        ...


def points_of(steps: Sequence[Mapping[str, Any]]) -> list[Point]:
    """Return the points of a run's steps, as its store holds them."""
    return [
        _point_of_updates(number, step) if "records" in step else _point_of_cycle(step)
        for number, step in enumerate(steps)
    ]


def _point_of_cycle(record: Mapping[str, Any]) -> Point:
    """The scores, the seconds per phase, and the comparison of update and retraining."""
    values = {"cycle": record["cycle"]} | record["scores"]
    values |= {f"seconds/{phase}": seconds for phase, seconds in record["timings"].items()}
    comparison = record["comparison"] or {}
    values |= {f"comparison/{name}": value for name, value in comparison.items()}
    verdicts = record.get("stopping", ())
    values |= {f"stopping/{verdict['rule']}": verdict["value"] for verdict in verdicts}
    return Point(record["n_labelled"], sum(record["timings"].values()), _finite(values))


NUMBERS_BESIDE_SCORES = ("decision_flips", "agreement", "seconds", "speedup")
"""What is kept of each model of an updating study."""


def _point_of_updates(number: int, step: Mapping[str, Any]) -> Point:
    """All models on one number of initial labels."""
    values: dict[str, Any] = {"cycle": number}
    for record in step["records"]:
        numbers = record["scores"] | {name: record[name] for name in NUMBERS_BESIDE_SCORES}
        model = f"{_model_name(record)}/new_{record['n_new']}"
        values |= {f"{name}/{model}": value for name, value in numbers.items()}
    seconds = sum(record["seconds"] for record in step["records"])
    return Point(step["records"][0]["n_initial"], seconds, _finite(values))


def _model_name(record: Mapping[str, Any]) -> str:
    """Return the update with what tells it from others, as in second_order-gaussian-p1-g10."""
    if not record["likelihood"]:
        return str(record["method"])
    gamma = "auto" if record["step_size"] == "auto" else f"{record['gamma']:g}"
    prior = f"{record['prior_precision']:g}"
    return f"{record['method']}-{record['likelihood']}-p{prior}-g{gamma}"


def _finite(values: Mapping[str, Any]) -> dict[str, float]:
    return {name: float(value) for name, value in values.items() if math.isfinite(value)}


PATIENCE = 6.0
"""Seconds that a run loses at most, in all, to calls that fail."""
LIMIT = 4.0
"""Seconds that one call may take."""
RUN_GOES_ON = (
    "the run goes on, its files are not affected, and the tracker gets what it missed later in the "
    "run, or when the run is asked for again"
)
SWEEP_GOES_ON = (
    "the sweep goes on without it, its files are not affected, and the same command sends what is "
    "missing later"
)
log = logging.getLogger(__name__)


class Guard:
    """Makes calls one after the other, each with a time limit; of trouble it warns once.

    Each call has a thread of its own, so that one that never returns can be left behind, and it
    is waited for, so that it does not run beside work that is timed.
    """

    def __init__(self, name: str, say: Callable[[str], None], goes_on: str = RUN_GOES_ON) -> None:
        self._name, self._say, self._goes_on = name, say, goes_on
        self._patience = PATIENCE
        self._last: Thread | None = None
        self._troubled, self._warned = False, False

    def attempt(self, call: Callable[[], object], extra: float = 0.0) -> bool:
        """Make a call, unless patience is used up or an earlier call still hangs.

        Args:
            call: may raise anything, and may hang.
            extra: seconds that it may take longer, because it has work of its own to do.

        Returns:
            Whether it was made and did not fail.
        """
        if self._patience <= 0 or (self._last is not None and self._last.is_alive()):
            return False
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
            log.info("%s: up to date again", self._name)
        self._troubled = bool(errors)
        return not errors

    def _warn(self, error: Exception) -> None:
        if self._warned:
            return
        self._warned = True
        line = redacted(f"{self._name}: {_one_line(error)}; {self._goes_on}")
        log.warning(line)
        self._say(f"warning: {line}")


def _run(call: Callable[[], object], errors: list[Exception]) -> None:
    try:
        call()
    except Exception as error:
        errors.append(error)


def _one_line(error: Exception) -> str:
    """Return the first line of an error, shortened."""
    line = explain_os_error(error) if isinstance(error, OSError) else first_line(error)
    cause = re.search(r"\(Caused by (\w+)\(", line)  # as of requests, at the end of a long line
    if cause is not None:
        return f"no connection, or no answer ({cause.group(1)})"
    return line[:300]
