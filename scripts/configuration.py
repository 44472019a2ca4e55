"""Print the configuration reference: every group, option and key of conf/ as Markdown tables.

usage: python scripts/configuration.py

docs/reference/configuration.md holds what it prints.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from alupdate.config.help import GROUPS
from alupdate.utils.paths import conf_dir

COLLECTIONS = ("experiment", "setting", "hydra/launcher")
"""Groups whose files set keys of other groups: only their names are listed."""

END = "...\n"
"""How YAML closes a document that is one plain value."""


class Key(NamedTuple):
    """A setting as a file gives it: its name, default and comment."""

    name: str
    default: str
    comment: str


def keys_of(path: Path, conf: Path) -> dict[str, Key]:
    """Return the settings of a file by name, with those that it includes from conf/shared."""
    text = path.read_text(encoding="utf-8")
    tree = yaml.safe_load(text) or {}
    keys: dict[str, Key] = {}
    for included in tree.pop("defaults", []):
        if isinstance(included, str) and included.endswith("@_here_"):
            place = conf if included.startswith("/") else path.parent
            keys |= keys_of(place / f"{included.strip('/').partition('@')[0]}.yaml", conf)
    comments = {name: key.comment for name, key in keys.items()}
    comments |= dict(re.findall(r"^ *(\w+):.*? # (.*)$", text, flags=re.MULTILINE))
    for name, value in tree.items():
        if name in ("labelstudio", "extraction"):
            nested = {f"{name}.{inner}": inner for inner in value}
            keys |= {k: Key(k, _value(value[i]), comments.get(i, "")) for k, i in nested.items()}
        elif name not in ("name", "hydra"):
            keys[name] = Key(name, _value(value), comments.get(name, ""))
    return keys


def _value(value: Any) -> str:
    if value == "???":
        return "required"
    text = yaml.safe_dump(value, default_flow_style=True, width=1000, sort_keys=False)
    return _cell(f"`{text.removesuffix(END).strip()}`")


def _about(path: Path) -> str:
    lines = path.read_text(encoding="utf-8").splitlines()
    return next((x[2:].strip() for x in lines if x.startswith("# ") and x[2] != "@"), "")


def _package(path: Path) -> str:
    """Return the group whose keys a file sets, where that is not its own."""
    found = re.match(r"# @package (\w+)\n", path.read_text(encoding="utf-8"))
    return found.group(1) if found else ""


def _options(group: str, conf: Path) -> Iterator[str]:
    files = sorted((conf / group).rglob("*.yaml"))
    if files:
        yield f"\n## {group}\n\n| `{group}=` | |\n|---|---|"
    for path in files:
        name = path.relative_to(conf / group).with_suffix("")
        yield f"| `{name}` | {_cell(_about(path))} |"


def _keys(group: str, conf: Path) -> Iterator[str]:
    """Yield a table of the keys of a group, each with the options that have it."""
    found: dict[str, dict[Key, list[str]]] = {}
    files = sorted((conf / group).glob("*.yaml"))
    place = next((package for package in map(_package, files) if package), group)
    for path in files:
        for key in keys_of(path, conf).values():
            found.setdefault(key.name, {}).setdefault(key, []).append(path.stem)
    if found:
        yield "\n| key | default | of | |\n|---|---|---|---|"
    for name, kinds in found.items():
        for key, options in kinds.items():
            of = "all" if len(options) == len(files) else ", ".join(f"`{o}`" for o in options)
            yield f"| `{place}.{name}` | {key.default} | {of} | {_cell(key.comment)} |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


def lines(conf: Path) -> Iterator[str]:
    """Yield the reference: top-level keys, then the groups."""
    yield "## Top level\n\n| key | default | |\n|---|---|---|"
    for key in keys_of(conf / "config.yaml", conf).values():
        yield f"| `{key.name}` | {key.default} | {_cell(key.comment)} |"
    for group in GROUPS:
        yield from _options(group, conf)
        if group not in COLLECTIONS:
            yield from _keys(group, conf)


def main(arguments: list[str]) -> int:
    """Print the reference and return the exit code."""
    if arguments:
        print(__doc__, file=sys.stderr)
        return 2
    print("\n".join(lines(conf_dir())))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
