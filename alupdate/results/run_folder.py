"""One run directory: its settings, where and how it ran, and whether it came to its end."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import pandas as pd
import yaml

from alupdate.results.run_tables import KINDS, MAIN_TABLES, read_table
from alupdate.results.status import State, is_held
from alupdate.utils.errors import InputError

NOT_PROVENANCE = frozenset({"state", "error", "failures", "oracle", "started", "updated"})
"""Keys of status.json that have places of their own in a report."""


@dataclass(frozen=True)
class Run:
    """What a run directory says.

    Attributes:
        name: in the column ``run`` of its tables; of the directory where there are none.
        state: running | completed | failed | interrupted; a run whose process is gone counts as
            interrupted.
        reason: why it is not completed; empty where it is.
        oracle: what the strategy sees beyond bought labels; empty for practical strategies.
        settings: from config.yaml, ``group.key`` to value as text.
        provenance: from status.json, likewise: versions, revision, machine, device.
        started, updated: times in UTC, ISO 8601.
        tables: file name to rows; empty unless the run is completed.
    """

    name: str
    state: str
    reason: str
    oracle: str
    settings: Mapping[str, str]
    provenance: Mapping[str, str]
    started: str
    updated: str
    tables: Mapping[str, pd.DataFrame]


def read_run(folder: Path) -> Run:
    """Read a run directory.

    Raises:
        InputError: a file is missing or damaged; the message names it.
    """
    status = _mapping(folder / "status.json", json.loads)
    settings = _mapping(folder / "config.yaml", yaml.safe_load)
    state = str(status.get("state"))
    if state not in get_args(State):
        raise InputError(f"status.json: state is {state}, not one of {', '.join(get_args(State))}")
    if state == "running" and not is_held(folder):
        state = "interrupted"
    tables = _tables(folder) if state == "completed" else {}
    return Run(
        name=next((str(table["run"].iloc[0]) for table in tables.values()), folder.name),
        state=state,
        reason=_reason(folder, state, status),
        oracle=str(status.get("oracle") or ""),
        settings=dict(_flat(settings)),
        provenance=dict(_flat({k: v for k, v in status.items() if k not in NOT_PROVENANCE})),
        started=str(status.get("started") or ""),
        updated=str(status.get("updated") or ""),
        tables=tables,
    )


def _reason(folder: Path, state: str, status: Mapping[str, Any]) -> str:
    if state == "running":
        return "at work"
    if status.get("state") == "running":
        return "its process is gone; the same command resumes it"
    error, failures = str(status.get("error") or ""), status.get("failures", 0)
    return f"{error} (failed {failures} times)" if failures not in (0, 1) else error


def _mapping(path: Path, parse: Any) -> dict[str, Any]:
    try:
        document = parse(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(f"{path.name} is missing") from error
    except OSError as error:
        raise InputError(f"{path.name} cannot be read ({error.strerror})") from error
    except (ValueError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{path.name} cannot be parsed ({reason})") from error
    if not isinstance(document, dict):
        raise InputError(f"{path.name} holds no keys and values")
    return document


def _flat(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", _words(value)


def _words(value: Any) -> str:
    """Return a value as on the command line."""
    return value if isinstance(value, str) else json.dumps(value).replace('"', "")


def _tables(folder: Path) -> dict[str, pd.DataFrame]:
    found = [name for name in KINDS if (folder / name).is_file()]
    if not set(found) & set(MAIN_TABLES):
        raise InputError(f"is completed, but has neither {' nor '.join(MAIN_TABLES)}")
    return {name: read_table(folder / name, KINDS[name]) for name in found}
