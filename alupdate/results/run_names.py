"""What tells runs of one variant apart: the settings that follow a strategy's name in figures."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence

from alupdate.config.options import options
from alupdate.results.store import ADDED

OF_THE_RUN = "dataset.disturbance_seed"
"""A seed that tells no runs apart where it is, in all of them, that of the run."""
FlatSettings = Mapping[str, str]
"""``group.key`` to value as on the command line."""


def setting_text(value: object) -> str:
    """Return a value as on the command line."""
    return value if isinstance(value, str) else json.dumps(value, default=str).replace('"', "")


def _former() -> Iterator[tuple[str, str]]:
    for key, value in ADDED.items():
        if isinstance(value, Mapping):
            yield from ((f"{key}.{name}", setting_text(inner)) for name, inner in value.items())
        else:
            yield key, setting_text(value)


FORMER: FlatSettings = dict(_former())
"""What stands for settings that a run does not have since they are those of earlier versions."""


def suffixes(runs: Sequence[FlatSettings]) -> list[str]:
    """Return what to write behind the name of each run: the settings that distinguish them.

    Of an option whose name differs, only the settings in which runs with that option differ.

    Args:
        runs: settings of runs that share data, backbone, strategy, batch and update.

    Example:
        >>> suffixes([{"seed": "1"}, {"seed": "1", "annotator.name": "noisy"}])
        [' (annotator=truth)', ' (annotator=noisy)']
    """
    keys = _differing(runs)
    shown = [[_shown(key, run) for key in keys if _concerns(key, run, keys)] for run in runs]
    return [f" ({', '.join(texts)})" if texts else "" for texts in shown]


def _value(key: str, run: FlatSettings) -> str:
    return run.get(key, FORMER.get(key, "null"))


def _shown(key: str, run: FlatSettings) -> str:
    return f"{key.removeprefix('strategy.').removesuffix('.name')}={_value(key, run)}"


def _option_key(key: str) -> str:
    return f"{key.partition('.')[0]}.name"


def _concerns(key: str, run: FlatSettings, keys: Iterable[str]) -> bool:
    """Return whether a setting is one of the run's option, where options differ."""
    return key == _option_key(key) or _option_key(key) not in keys or key in run


def _differing(runs: Sequence[FlatSettings]) -> list[str]:
    """Return the keys with several values; an earlier version may lack one that is null now."""
    keys = set[str]().union(*runs) - {"seed"}
    differing = {key for key in keys if _several(key, runs)}
    if all(run.get(OF_THE_RUN, "0") == run.get("seed") for run in runs):  # 0 is left out
        differing.discard(OF_THE_RUN)
    if any(key.startswith("dataset.") for key in differing):
        differing -= places_of_data()
    kept = (key for key in differing if _of_one_option(key, runs, differing))
    return sorted(kept, key=lambda key: (key.partition(".")[0], key != _option_key(key), key))


def _several(key: str, runs: Iterable[FlatSettings]) -> bool:
    return len({_value(key, run) for run in runs}) > 1


def _of_one_option(key: str, runs: Sequence[FlatSettings], differing: Iterable[str]) -> bool:
    """Return whether a setting differs not only because the option does."""
    option = _option_key(key)
    if key == option or option not in differing:
        return True
    names = {_value(option, run) for run in runs}
    return any(_several(key, [run for run in runs if _value(option, run) == n]) for n in names)


def places_of_data() -> set[str]:
    """Return the keys that say where data are, which makes no difference.

    The data sets know them, and import PyTorch: to be asked only where it matters.
    """
    places = (getattr(option, "places", ()) for option in options("dataset").values())
    return {f"dataset.{place}" for some in places for place in some}
