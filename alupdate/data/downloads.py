"""Downloads of data sets into the cache: complete or not at all, and with a time-out."""

import http.client
import shutil
import socket
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from alupdate.utils.errors import InputError, first_line
from alupdate.utils.files import locked_file
from alupdate.utils.paths import cache_folder

TIMEOUT_SECONDS = 20.0
"""How long a server may stay silent before a download counts as failed."""

FAILURES = (
    OSError,  # no network, no such host, time-out, disk full
    RuntimeError,  # torchvision: a wrong checksum
    http.client.HTTPException,
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
)
"""What downloads raise."""


@contextmanager
def connection_timeout() -> Iterator[None]:
    """Set a time-out for new connections: neither torchvision nor scikit-learn sets one."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(TIMEOUT_SECONDS)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def downloaded(name: str, cache: Path, allowed: bool, download: Callable[[Path], None]) -> Path:
    """Return the folder of a data set in the cache; it is downloaded if it is not there.

    Processes that ask for the same data set wait for one download. Files are fetched into a
    folder beside, which takes its name when all is there: a download that was killed starts over.

    Args:
        name: of the data set.
        cache: the cache directory.
        allowed: whether to use the network.
        download: fetches all files into a folder.

    Raises:
        InputError: it is not there, and may not or cannot be downloaded.
    """
    folder = cache / "datasets" / name
    if folder.is_dir():
        return folder
    if not allowed:
        raise InputError(
            f"dataset={name}: not in {folder}, and dataset.download=false; "
            "set dataset.root=FOLDER, or dataset.download=true"
        )
    try:
        cache_folder(cache, "datasets")
        with locked_file(Path(f"{folder}.lock")):
            if not folder.is_dir():
                _fetch(folder, download)
    except FAILURES as error:
        reason = first_line(error)
        raise InputError(
            f"dataset={name}: not in {folder}, and the download failed ({reason}); check network "
            "and disk, or set dataset.root=FOLDER"
        ) from error
    return folder


def _fetch(folder: Path, download: Callable[[Path], None]) -> None:
    partial = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    try:
        with connection_timeout():
            download(partial)
        partial.rename(folder)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
