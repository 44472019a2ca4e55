"""Where image files lie: a folder, or a zip archive that is read in place."""

import posixpath
import stat
import zipfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol

from alupdate.errors import InputError

ENDINGS = frozenset(
    {".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm"}
)
LARGEST_BYTES = 2**28
"""Of one image file; a member that claims more is taken for an attack on memory."""


class ImageSource(Protocol):
    """Named image files, in a fixed order."""

    @property
    def where(self) -> str:
        """How to call the source in an error message."""
        ...

    def stamps(self) -> dict[str, str]:
        """Return each file's path, with what changes when the file does; sorted by path."""
        ...

    def read(self, path: str) -> bytes:
        """Return a file's content."""
        ...


@dataclass(frozen=True)
class Folder:
    """The image files below a directory, with any number of levels."""

    root: Path
    where: str

    def stamps(self) -> dict[str, str]:
        """See ``ImageSource``: size and times of change."""
        found = {}
        for path in self.root.rglob("*"):
            relative = path.relative_to(self.root).as_posix()
            if is_image(relative) and path.is_file():
                found[relative] = _stamp(path)
        return dict(sorted(found.items()))

    def read(self, path: str) -> bytes:
        """See ``ImageSource``."""
        return (self.root / path).read_bytes()


@dataclass(frozen=True)
class ListedFiles:
    """The image files below a directory that a list names, whatever else is there."""

    root: Path
    paths: tuple[str, ...]
    where: str

    def stamps(self) -> dict[str, str]:
        """See ``ImageSource``: size and times of change.

        Raises:
            InputError: a file is missing.
        """
        try:
            return {path: _stamp(self.root / path) for path in sorted(set(self.paths))}
        except OSError as error:
            raise InputError(f"{self.where}: {error.filename}: {error.strerror}") from error

    def read(self, path: str) -> bytes:
        """See ``ImageSource``."""
        return (self.root / path).read_bytes()


@dataclass(frozen=True)
class Archive:
    """The image files of a zip archive; nothing is unpacked to disk."""

    path: Path
    where: str

    @cached_property
    def _zip(self) -> zipfile.ZipFile:
        try:
            return zipfile.ZipFile(self.path)
        except (zipfile.BadZipFile, OSError) as error:
            raise InputError(f"{self.where}: cannot be read as a zip archive ({error})") from error

    def stamps(self) -> dict[str, str]:
        """See ``ImageSource``: size and checksum.

        Raises:
            InputError: not a zip archive, or a member that no honest archive has.
        """
        found: dict[str, str] = {}
        for member in self._zip.infolist():
            if member.filename.endswith("/"):
                continue
            problem = _problem(member, is_image(member.filename))
            if problem is None and member.filename in found:
                problem = "is there twice"
            if problem is not None:
                raise InputError(
                    f"{self.where}: member {member.filename!r} {problem}; make the archive again"
                )
            if is_image(member.filename):
                found[member.filename] = f"{member.file_size} {member.CRC:08x}"
        return dict(sorted(found.items()))

    def read(self, path: str) -> bytes:
        """See ``ImageSource``."""
        return self._zip.read(path)


def _stamp(path: Path) -> str:
    """Return what differs if a file's content does.

    Archives are often made with one time of change for all files, and images without compression
    have one size; the time of change of the directory entry tells them apart, too.
    """
    status = path.stat()
    return f"{status.st_size} {status.st_mtime_ns} {status.st_ctime_ns}"


def image_source(path: str, where: str) -> ImageSource:
    """Return the folder or zip archive at ``path``.

    Raises:
        InputError: there is neither.
    """
    found = Path(path)
    if found.is_dir():
        return Folder(found, where)
    if found.is_file():
        return Archive(found, where)
    raise InputError(f"{where}: no such folder or zip archive")


def is_image(path: str) -> bool:
    """Return whether a file is an image by its ending; hidden files are none."""
    hidden = path.startswith((".", "__MACOSX/")) or "/." in path or "/__MACOSX/" in path
    return not hidden and posixpath.splitext(path)[1].lower() in ENDINGS


def _problem(member: zipfile.ZipInfo, read: bool) -> str | None:
    """Return what is wrong with a member, or None; its size only matters if it is read."""
    parts = member.filename.split("/")
    absolute = member.filename.startswith("/") or ":" in parts[0]
    if absolute or ".." in parts or "\\" in member.filename:
        return "has a path that leads out of the archive"
    if stat.S_ISLNK(member.external_attr >> 16):
        return "is a symbolic link"
    if member.flag_bits & 1:
        return "is encrypted"
    if read and member.file_size > LARGEST_BYTES:
        return f"would take {member.file_size / 2**20:.0f} MiB"
    return None
