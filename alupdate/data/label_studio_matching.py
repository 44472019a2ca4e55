"""Which instances the tasks of a Label Studio export are about, where their data do not say it.

Tasks that were not written by ``task=suggest`` have no member ``instance``. An image is found by
the end of its path, a text by itself; what fits several instances, or none, is passed over.
"""

import posixpath
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from urllib.parse import parse_qs, unquote, urlsplit

from alupdate.data.dataset import Images, Instances, Texts
from alupdate.data.labels_file import LabelsFile
from alupdate.utils.errors import InputError

LOCAL_FILES_PATH = "/data/local-files/"
"""Of the address at which Label Studio serves files below its document root."""
UPLOADED = re.compile(r"/data/upload/\d+/[0-9a-f]{8}-([^/]+)")
"""The path of a file that was uploaded to Label Studio."""

LONGEST_ADDRESS = 4096
"""Characters; what is longer is an image itself, or no address."""


def with_instances(
    file: LabelsFile, names: Sequence[str], pool: Instances, unread: Collection[str] = ()
) -> LabelsFile:
    """Return a labels file whose answers all name their instances; a note says what was left out.

    Args:
        file: any labels file; only exports of Label Studio can lack names.
        names: (P,), of the instances.
        pool: the P instances.
        unread: names of instances that exist and are left out.

    Raises:
        InputError: none of the tasks that lack a name fits.
    """
    if not file.contents:
        return file
    finder = Finder([*names, *unread], pool, names)
    hits = {task: finder.find(contents) for task, contents in file.contents.items()}
    found = {task: name for task, name in hits.items() if name is not None}
    found = _without_shared(found, file.contents)
    notes = [*file.notes]
    if lost := sorted(file.contents.keys() - found.keys()):
        line = (
            f"{file.where}: {len(lost)} of {len(file.contents)} annotated tasks do not name their "
            f"instance and fit none, or several; the first is task {lost[0]}"
        )
        if not found:
            raise InputError(
                f"{line}; import tasks that task.format=labelstudio has written, or give the pool "
                "that was labelled"
            )
        notes.append(f"{line}: passed over")
    rows = tuple(
        (task, replace(answer, instance=answer.instance or found[task]))
        for task, answer in file.rows
        if answer.instance or task in found
    )
    return replace(file, rows=rows, contents={}, notes=tuple(notes))


class Finder:
    """Finds the instance that a task shows: a text by itself, an image by the end of its path."""

    def __init__(
        self, names: Sequence[str], pool: Instances, of_pool: Sequence[str] | None = None
    ) -> None:
        """Make ready.

        Args:
            names: of all instances, those that cannot be read included.
            pool: the P instances.
            of_pool: (P,), their names; None where these are ``names``.
        """
        self._texts: dict[str, str] = {}
        if isinstance(pool, Texts):
            self._texts = _by_text(names if of_pool is None else of_pool, pool)
        self._paths = _Paths(names) if isinstance(pool, Images) else None

    def find(self, contents: Iterable[str]) -> str | None:
        """Return the name of the only instance that the texts in a task's data fit."""
        if self._paths is None:
            hits = {self._texts[text] for text in contents if text in self._texts}
        else:
            hits = {name for text in contents if (name := self._paths.name_of(text)) is not None}
        return hits.pop() if len(hits) == 1 else None


def _by_text(names: Sequence[str], texts: Texts) -> dict[str, str]:
    """Return the name of each text that is there once."""
    counts = Counter(texts.strings)
    return {
        text: name for text, name in zip(texts.strings, names, strict=True) if counts[text] == 1
    }


def _without_shared(
    found: Mapping[int, str], contents: Mapping[int, tuple[str, ...]]
) -> dict[int, str]:
    """Leave out instances to which tasks with different contents were matched."""
    tasks = defaultdict[str, set[tuple[str, ...]]](set)
    for task, name in found.items():
        tasks[name].add(contents[task])
    return {task: name for task, name in found.items() if len(tasks[name]) == 1}


class _Paths:
    """The names of image files, to be found by addresses in which they occur."""

    def __init__(self, names: Iterable[str]) -> None:
        self._names = frozenset(names)
        self._by_file = defaultdict[str, list[str]](list)
        for name in sorted(self._names):
            self._by_file[posixpath.basename(name)].append(name)

    def name_of(self, address: str) -> str | None:
        """Return the only name that an address ends with, or that ends with the address."""
        path = "" if len(address) > LONGEST_ADDRESS else _path(address)
        parts = path.split("/")
        ends = {"/".join(parts[start:]) for start in range(len(parts))}
        hits = (self._names & ends) | {
            name for name in self._by_file.get(parts[-1], []) if name.endswith(f"/{path}")
        }
        return next(iter(hits)) if len(hits) == 1 else None


def _path(address: str) -> str:
    """Return the path of a file in an address of Label Studio's, or in any other.

    Example:
        >>> _path("/data/local-files/?d=photos/a%20b.png"), _path("/data/upload/1/0a1b2c3d-c.png")
        ('photos/a b.png', 'c.png')
    """
    uploaded = UPLOADED.search(address)
    if uploaded is not None:
        return unquote(uploaded[1])
    try:
        split = urlsplit(address)
    except ValueError:
        return address
    if split.path.endswith(LOCAL_FILES_PATH):
        return parse_qs(split.query).get("d", [""])[0].strip("/")
    if not split.scheme:
        return address.strip("/")
    return unquote(split.path).strip("/")
