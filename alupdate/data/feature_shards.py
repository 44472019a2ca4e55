"""Features of a data set extracted by several jobs: a file for each, joined to one at the end.

``KEY.shards/K-of-N.npy`` holds the features of the K-th of N parts of all instances, from 0. Each
is extracted, resumed after a kill, and put in its place as a whole (``row_files``), under a lock of
its own. A part begins where an unsharded extraction commits, so that the same instances are
computed together, and the joined file is the same, byte for byte.
"""

import errno
import logging
import os
import re
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import Timeout

from alupdate.data import row_files
from alupdate.data.dataset import FloatArray
from alupdate.data.row_files import Extraction, RowsDone, extract_rows, load_rows
from alupdate.utils.files import locked_file

log = logging.getLogger(__name__)
COPIED_ROWS = 8192
"""How many are copied at a time when shards are joined."""
_BEGUN = re.compile(r"(\d+)-of-([1-9]\d{0,4})\.(npy|partial)")


@dataclass(frozen=True)
class Shard:
    """One of several parts of all instances.

    Attributes:
        number: which one, from 0.
        of: how many there are.

    Example:
        >>> Shard(1, 3).span(5000)
        (1024, 3072)
    """

    number: int
    of: int

    def span(self, count: int) -> tuple[int, int]:
        """Return the first of ``count`` instances in it, and the one after its last.

        The parts differ by one block of ROWS_BETWEEN_COMMITS at most; with more parts than blocks
        some are empty.
        """
        size = row_files.ROWS_BETWEEN_COMMITS
        blocks = -(-count // size)
        ends = [(self.number + i) * blocks // self.of * size for i in (0, 1)]
        return min(ends[0], count), min(ends[1], count)

    def is_empty(self, count: int) -> bool:
        """Return whether none of ``count`` instances is in it."""
        start, stop = self.span(count)
        return start == stop

    def __str__(self) -> str:
        return f"shard {self.number} of {self.of}"


class ShardFolder:
    """The shards of a file of features, beside it."""

    def __init__(self, whole: Path) -> None:
        self._whole, self._folder = whole, whole.with_suffix(".shards")

    def keep(self, shard: Shard, extraction: Extraction) -> None:
        """Extract and keep a shard, unless it is there; another process that does so is waited for.

        Raises:
            OSError: the disk is full, or cannot be written.
        """
        if shard.is_empty(extraction.count):
            return
        try:
            self._make()
            self._kept(shard, extraction)
            if self._whole.is_file():  # joined before this job made the folder, perhaps once more
                self.remove()
        except (FileNotFoundError, FileExistsError):
            if not self._whole.is_file():  # else another process joined them and removed the folder
                raise

    def missing(self, of: int, count: int) -> list[int]:
        """Return which of the shards are not there."""
        shards = [Shard(number, of) for number in range(of)]
        wanted = [shard for shard in shards if not shard.is_empty(count)]
        if self._whole.is_file():
            return []
        return [shard.number for shard in wanted if not self._path(shard).is_file()]

    def joined(self, extraction: Extraction) -> Extraction:
        """Return an extraction that reads the shards, if any was begun, or else the same one.

        What is missing or damaged is extracted here, and what another process extracts waited for.

        Raises:
            OSError: the disk is full, or cannot be written.
        """
        of = self._begun()
        if of is None:
            return extraction
        missing = ", ".join(map(str, self.missing(of, extraction.count)))
        if missing:
            log.warning("%s: of %d shards, extracted here: %s", self._folder, of, missing)
        shards = [Shard(number, of) for number in range(of)]
        parts = [self._kept(shard, extraction) for shard in shards]
        return Extraction(extraction.count, lambda a, b: _rows(parts, a, b), _unwatched)

    def remove(self) -> None:
        """Remove the shards once they are joined, unless another process works on one."""
        with ExitStack() as stack:
            try:
                # In order: of two that come at once, one has all locks.
                for path in sorted(self._folder.glob("*.lock")):
                    stack.enter_context(locked_file(path, timeout=0))
            except Timeout:
                return
            if self._folder.is_dir():  # a job that comes late may be making its lock there
                shutil.rmtree(self._folder, ignore_errors=True)

    def _begun(self) -> int | None:
        """Return into how many shards the instances were divided; None if no shard was begun.

        Of several divisions it is the one of which most is there.
        """
        found: Counter[int] = Counter()
        for path in self._folder.glob("*"):
            if (match := _BEGUN.fullmatch(path.name)) is not None:
                found[int(match[2])] += 2 if match[3] == "npy" else 1
        if len(found) > 1:
            log.warning("%s: has shards of %s; some are not used", self._folder, sorted(found))
        return max(found, key=lambda of: (found[of] / of, of), default=None)

    def _kept(self, shard: Shard, extraction: Extraction) -> FloatArray | None:
        """Return the rows of a shard; None if it has none, or all shards are joined."""
        start, stop = shard.span(extraction.count)
        if start == stop:
            return None
        path = self._path(shard)
        with locked_file(path.with_suffix(".lock")):
            part = f"{shard} of {self._whole.stem}"
            rows = load_rows(path, stop - start, part)
            if rows is None and not self._whole.is_file():
                extract_rows(path, extraction.between(start, stop, str(shard)), part)
                rows = load_rows(path, stop - start, part)
                if rows is None:
                    raise OSError(f"{path} cannot be read back")
        return rows

    def _path(self, shard: Shard) -> Path:
        return self._folder / f"{shard.number}-of-{shard.of}.npy"

    def _make(self) -> None:
        if self._folder.is_symlink():
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(self._folder))
        self._folder.mkdir(mode=0o700, exist_ok=True)


def _rows(parts: Sequence[FloatArray | None], start: int, stop: int) -> Iterator[FloatArray]:
    """Yield rows start..stop-1 of several arrays, one after the other, some at a time."""
    first = 0
    for part in parts:
        size = 0 if part is None else len(part)
        for at in range(max(start - first, 0), min(stop - first, size), COPIED_ROWS):
            assert part is not None
            yield part[at : min(at + COPIED_ROWS, stop - first, size)]
        first += size


@contextmanager
def _unwatched(done: int, total: int, which: str) -> Iterator[RowsDone]:
    yield lambda rows: None
