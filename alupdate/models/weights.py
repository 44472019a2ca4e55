"""Locates and verifies the files of pretrained weights.

They ship with a Python package, come from the Hugging Face Hub, or are the user's own. The SHA-256
of the first is known here, that of the second names the file in the Hub's cache, and all are
hashed: the weights decide the features, so that the hash is part of the feature cache's key.
"""

from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from torch import Tensor

from alupdate.utils.errors import InputError, cannot_read
from alupdate.utils.files import digest_of

SHA256_DIGITS = 64


@dataclass(frozen=True)
class WeightsFile:
    """A file of weights.

    Attributes:
        path: where it lies.
        sha256: of its content.
        source: how to call it in an error message.
        pickled: whether it is in PyTorch's own format, and not a safetensors file.
    """

    path: Path
    sha256: str
    source: str
    pickled: bool = False


@dataclass(frozen=True)
class PackagedFile:
    """A file of weights that ships with a Python package.

    Attributes:
        package: its name on the Python package index.
        name: of the file.
        sha256: of its content.
        install: the command that installs the package.
    """

    package: str
    name: str
    sha256: str
    install: str

    def locate(self, where: str) -> Path:
        """Return the path of the verified file; the package is not imported, which is slow.

        Args:
            where: how to call the network in an error message.

        Raises:
            InputError: the package or the file is missing, or the file has another SHA-256.
        """
        try:
            files = metadata.files(self.package) or []
        except metadata.PackageNotFoundError as error:
            raise InputError(
                f"{where}: its weights ship with {self.package}, which is missing; run "
                f"{self.install}"
            ) from error
        paths = [Path(str(file.locate())) for file in files if file.name == self.name]
        if not paths or not paths[0].is_file():
            raise self._damaged(where, f"{self.name} is missing")
        found = digest_of(paths[0], where)
        if found != self.sha256:
            difference = f"SHA-256 {found[:8]}..., expected {self.sha256[:8]}..."
            raise self._damaged(where, f"{paths[0]} has {difference}")
        return paths[0]

    def _damaged(self, where: str, what: str) -> InputError:
        return InputError(
            f"{where}: the package {self.package} is damaged ({what}); run pip install "
            f"--force-reinstall --no-deps {self.package}"
        )


def check_hub_file(path: Path, sha256: str, where: str) -> None:
    """Compare a file of the Hub's cache with its name there.

    In that cache, large files are links to files that are named by their SHA-256. Any other file
    passes.

    Args:
        path: of the file, or of the link to it.
        sha256: of its content.
        where: how to call the network in an error message.

    Raises:
        InputError: the file is damaged.
    """
    blob = path.resolve()
    named_by_content = blob.parent.name == "blobs" and len(blob.name) == SHA256_DIGITS
    if named_by_content and blob.name != sha256:
        raise InputError(
            f"{where}: {path.name} is damaged (SHA-256 {sha256[:8]}..., expected "
            f"{blob.name[:8]}...); remove {blob} and run again"
        )


def read_tensors(file: WeightsFile) -> dict[str, Tensor]:
    """Return the tensors of a safetensors file by name.

    Raises:
        InputError: the file is not in that format, or damaged.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        tensors: dict[str, Tensor] = load_file(file.path)
    except (SafetensorError, OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise cannot_read(file.source, error) from error
        raise InputError(f"{file.source}: is no complete safetensors file ({error})") from error
    return tensors
