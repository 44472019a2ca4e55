"""The page that says how far the labelling is."""

import time
from collections import Counter
from collections.abc import Iterable
from statistics import median, quantiles

from alupdate.labelstudio.live import Latency, Live
from alupdate.report.template import rendered

MINUTE = 60.0
"""Seconds of which latencies are shown."""


def status_page(live: Live, name: str) -> str:
    """Return a page of labels so far, expected accuracy, classes and latencies.

    Args:
        live: follows the project.
        name: of the pool.
    """
    state, campaign = live.state, live.campaign
    classes = campaign.data.classes
    counts = Counter(state.labels.labels.tolist())
    seconds = recent(live.latencies, time.time())
    values = {
        "trouble": live.trouble,
        "name": name,
        "state": state,
        "size": len(campaign.data.names),
        "classes": [(classes[number], counts[number]) for number in range(len(classes))],
        "forecast": live.forecast(),
        "assumption": live.forecaster.assumption,
        "n_initial": campaign.config.n_initial,
        "n_recent": len(seconds),
        "latency": None if not seconds else spread(seconds),
    }
    return rendered("alupdate.labelstudio", "status.html.j2", "status.css", (), {}, values)


def recent(latencies: Iterable[Latency], now: float) -> list[float]:
    """Return the seconds of the last minute's latencies."""
    return [latency.seconds for latency in list(latencies) if now - latency.at <= MINUTE]


def spread(seconds: list[float]) -> tuple[float, float]:
    """Return the median, and what 95 of 100 stay below.

    Example:
        >>> spread([0.2, 0.1, 0.3])
        (0.2, 0.29)
    """
    if len(seconds) < 2:
        return seconds[0], seconds[0]
    return median(seconds), min(max(seconds), quantiles(seconds, n=20, method="inclusive")[-1])
