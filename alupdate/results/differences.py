"""In which settings do runs differ whose names of strategy, batch and update are the same?"""

from collections.abc import Mapping, Sequence

from alupdate.config.options import options

OF_THE_RUN = "dataset.disturbance_seed"
"""A seed that tells no runs apart where it is, in all of them, that of the run."""
STOP = "stop."
STOP_NAME = f"{STOP}name"


def differing_settings(runs: Sequence[Mapping[str, str]]) -> list[str]:
    """Return the keys that tell runs apart, seeds and places of data aside.

    An earlier version may lack a key that is null now. Of runs with several stopping rules, the
    rule says enough where all runs that have it have the same settings of it.

    Args:
        runs: settings of each, ``group.key`` to value as text.

    Example:
        >>> plain = {"seed": "0", "update.gamma": "1"}
        >>> kappa = plain | {"stop.name": "kappa", "stop.window": "3"}
        >>> differing_settings([plain, kappa]), differing_settings([plain, {"update.gamma": "3"}])
        (['stop.name'], ['update.gamma'])
    """
    keys = set[str]().union(*runs) - {"seed"}
    differing = {key for key in keys if len({run.get(key, "null") for run in runs}) > 1}
    if all(run.get(OF_THE_RUN, "0") == run.get("seed") for run in runs):  # 0 is left out
        differing.discard(OF_THE_RUN)
    if STOP_NAME in differing:
        differing -= _of_rules(keys) - _within_rules(runs)
    if any(key.startswith("dataset.") for key in differing):
        differing -= places_of_data()
    return sorted(differing)


def _of_rules(keys: set[str]) -> set[str]:
    return {key for key in keys if key.startswith(STOP) and key != STOP_NAME}


def _within_rules(runs: Sequence[Mapping[str, str]]) -> set[str]:
    """Return the settings of stopping rules in which runs with the same rule differ."""
    values: dict[tuple[str, str], set[str]] = {}
    for run in runs:
        for key in _of_rules(set(run)):
            values.setdefault((run.get(STOP_NAME, ""), key), set()).add(run[key])
    return {key for (_, key), found in values.items() if len(found) > 1}


def places_of_data() -> set[str]:
    """Return the keys that say where data are, which makes no difference.

    The data sets know them, and import PyTorch: to be asked only where it matters.
    """
    places = (getattr(option, "places", ()) for option in options("dataset").values())
    return {f"dataset.{place}" for some in places for place in some}
