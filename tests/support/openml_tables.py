"""A table of OpenML in miniature, as scikit-learn keeps it: gzipped JSON and ARFF."""

import gzip
import hashlib
import json
from pathlib import Path

import numpy as np

API = "api/v1/json/data"


def build_openml(
    root: Path,
    table: str,
    rows: list[str],
    types: dict[str, str],
    target: str | None = "class",
    kind: str = "ARFF",
) -> None:
    """Write a table, and what OpenML says about it.

    Args:
        root: what is given as ``data_home``.
        table: its name.
        rows: the lines of data.
        types: columns with their ARFF types, such as ``numeric`` or ``{a,b}``.
        target: the column of classes.
        kind: ARFF or Sparse_ARFF.
    """
    heading = "".join(f"@ATTRIBUTE {name} {values}\n" for name, values in types.items())
    arff = f"@RELATION {table}\n{heading}@DATA\n" + "\n".join(rows) + "\n"
    count = {"name": "NumberOfInstances", "value": str(len(rows))}
    found = {"did": 77, "name": table, "version": 1}
    answers = {
        f"{API}/list/data_name/{table}/limit/2/data_version/1": {"data": {"dataset": [found]}},
        f"{API}/77": {"data_set_description": _description(table, kind, arff)},
        f"{API}/features/77": {"data_features": {"feature": _columns(types, target)}},
        f"{API}/qualities/77": {"data_qualities": {"quality": [count]}},
    }
    texts = {path: json.dumps(answer) for path, answer in answers.items()}
    for path, text in (texts | {f"data/v1/download/1/{table}.arff": arff}).items():
        file = root / "openml" / "openml.org" / f"{path}.gz"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(gzip.compress(text.encode()))


def _description(table: str, kind: str, arff: str) -> dict[str, str]:
    return {
        "id": "77",
        "name": table,
        "version": "1",
        "format": kind,
        "status": "active",
        "url": f"https://api.openml.org/data/v1/download/1/{table}.arff",
        "md5_checksum": hashlib.md5(arff.encode()).hexdigest(),
        "description": "made for a test",
    }


def _columns(types: dict[str, str], target: str | None) -> list[dict[str, str]]:
    return [
        {
            "index": str(i),
            "name": name,
            "data_type": values if values == "numeric" else "nominal",
            "is_target": str(name == target).lower(),
            "is_ignore": "false",
            "is_row_identifier": "false",
            "number_of_missing_values": "0",
        }
        for i, (name, values) in enumerate(types.items())
    ]


def letters(count: int = 90) -> tuple[list[str], dict[str, str]]:
    """Return rows and column types of a small table of numbers with three classes."""
    rng = np.random.default_rng(0)
    rows = [
        f"{a},{b:.3f},{'ABC'[i % 3]}" for i, (a, b) in enumerate(rng.integers(0, 16, (count, 2)))
    ]
    return rows, {"x": "numeric", "y": "numeric", "class": "{A,B,C}"}
