"""Well-known data sets of the Hugging Face Hub: local files, or downloaded to the cache."""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic.dataclasses import dataclass as checked_dataclass
from typing_extensions import override

from alupdate.config.values import SETTINGS, Flag, PathText, TextLength
from alupdate.data.dataset import (
    Dataset,
    DatasetOption,
    Digests,
    Images,
    IntArray,
    Texts,
    as_digests,
    digest,
    make_dataset,
)
from alupdate.data.decoding import STORAGES, USUAL_DEPTH, Depth, Tops, decode, opened, tops_of
from alupdate.data.image_files import naming, with_depth
from alupdate.data.labels import as_strings, known_labels
from alupdate.data.parquet import class_names, label_values, read_parquet_file
from alupdate.data.tables import common_labels
from alupdate.data.text_tables import TABLE_ENDINGS, Table, read_text_table
from alupdate.utils.display import Display
from alupdate.utils.errors import InputError
from alupdate.utils.files import file_digest, files_below
from alupdate.utils.hub_files import HubFiles, download
from alupdate.utils.paths import cache_folder

DATA_ENDINGS = (".parquet", *TABLE_ENDINGS)
"""Where a folder has files of several kinds, the first one that is complete is read."""


@dataclass(frozen=True)
class _Source:
    """Where a data set lies on the Hub, and what its columns are called.

    Attributes:
        repository: its name.
        folder: the part of the repository that is read.
        content: the column of texts or images.
        labels: columns of labels, the preferred one first; publishers use several names.
        revision: of repositories with a loading script, the Hub's own Parquet copy.
    """

    repository: str
    folder: str
    content: str
    labels: tuple[str, ...] = ("label",)
    revision: str = "main"


PARQUET_COPY = "refs/convert/parquet"
SOURCES = {
    "banking77": _Source(
        "legacy-datasets/banking77", "data", "text", ("label_text", "category", "label")
    ),
    "clinc150": _Source("clinc/clinc_oos", "plus", "text", ("intent", "label")),
    "agnews": _Source("fancyzhx/ag_news", "data", "text", ("label_text", "label")),
    "dbpedia": _Source("fancyzhx/dbpedia_14", "dbpedia_14", "content", ("label_text", "label")),
    "trec": _Source(
        "CogComp/trec", "default", "text", ("coarse_label", "label-coarse"), PARQUET_COPY
    ),
    "snacks": _Source("Matthijs/snacks", "default", "image", ("label",), PARQUET_COPY),
}


@checked_dataclass(frozen=True, config=SETTINGS, kw_only=True)
class HubDataset(DatasetOption):
    """A data set of the Hub: its training and its test split; a validation split is not read.

    Attributes:
        root: a folder with its files; None for a download.
        download: False forbids use of the network.
        cost: what the label of a text costs, by its length; None for one each.
    """

    places: ClassVar[frozenset[str]] = frozenset({"root", "download"})
    name: Literal["snacks", "banking77", "clinc150", "agnews", "dbpedia", "trec"]
    root: PathText | None = None
    download: Flag = True
    cost: TextLength | None = None

    @override
    def check(self) -> None:
        super().check()
        if self.cost is not None and SOURCES[self.name].content == "image":
            raise InputError(
                f"dataset.cost={self.cost}: is for texts; dataset={self.name} holds images"
            )

    @override
    def read(self, cache: Path, display: Display) -> Dataset:
        source = SOURCES[self.name]
        if self.root is None:
            where, root = f"dataset={self.name}", self._downloaded(source, cache)
        else:
            where, root = f"dataset.root={self.root}", self.root
        files = _files_by_split(root, source, where)
        parts = [_read_split(files[split], root, source, where) for split in ("train", "test")]
        (train, test), depths = _of_one_depth(parts, where)
        labels, test_labels = common_labels(train.labels, test.labels, where)
        dataset = make_dataset(
            self.display_name, train.instances, labels, test.instances, test_labels, where
        )
        notes = list(dict.fromkeys((*depths, *train.notes, *test.notes)))
        return replace(dataset, notes=(*notes, *dataset.notes))

    def _downloaded(self, source: _Source, cache: Path) -> str:
        if self.download:
            where, change = f"dataset={self.name}", "where there is a network"
        else:
            where = f"dataset={self.name}, dataset.download=false"
            change = "with dataset.download=true"
        patterns = (f"{source.folder}/*.parquet",)
        wanted = HubFiles(source.repository, "dataset", patterns, source.revision)
        remedy = f"{change}, or give dataset.root=FOLDER with its files"
        try:
            known = cache / "hub"
            folder = cache_folder(cache, "hub") if self.download or known.is_dir() else known
        except OSError as error:
            raise InputError(f"cache_dir: cannot use {cache} ({error.strerror})") from error
        return str(download(wanted, where, remedy, folder, self.download))

    @override
    def digest(self, cache: Path, display: Display) -> str | None:
        if self.root is None:
            return None
        parts = [file_digest("dataset.root", str(path)) for path in local_files(self.root)]
        return hashlib.sha256("".join(parts).encode()).hexdigest()


@dataclass(frozen=True)
class HubImages(Images):
    """Colour images that are decoded each time they are asked for.

    Attributes:
        encoded: N files' contents; the digests are of these.
        names: (N), of the rows, for error messages.
        tops: (N, 3), the largest values of files with more than 8 bits.
        depth: of those.
    """

    encoded: tuple[bytes, ...]
    names: tuple[str, ...]
    tops: IntArray
    depth: Depth

    @classmethod
    def of_cells(cls, cells: Iterable[Any], where: str) -> "HubImages":
        """Return the images of a Parquet column; only their headers are checked, which is fast.

        Raises:
            InputError: a cell holds no image.
        """
        encoded, names, tops = list[bytes](), list[str](), list[Tops]()
        for row, cell in enumerate(cells, start=1):
            content = cell.get("bytes") if isinstance(cell, dict) else cell
            name = f"{where}: row {row}"
            if not isinstance(content, bytes) or not _is_image(content):
                raise InputError(f"{name} holds no image; repair or remove it")
            with naming(name, "image"):
                tops.append(tops_of(content))
            encoded.append(content)
            names.append(name)
        return cls(
            tuple(encoded), tuple(names), np.array(tops).reshape(-1, len(STORAGES)), USUAL_DEPTH
        )

    @override
    def __len__(self) -> int:
        return len(self.encoded)

    @property
    @override
    def shape(self) -> tuple[int, int, int] | None:
        # decodes until an image differs: a few where sizes vary
        height, width, channels = self[0].shape
        same = all(self[i].shape == (height, width, channels) for i in range(1, len(self)))
        return (height, width, channels) if same else None

    @override
    def __getitem__(self, position: int) -> NDArray[np.uint8]:
        with naming(self.names[position], "image"):
            return decode(self.encoded[position], self.depth)

    @override
    def digests(self) -> Digests:
        found = as_digests(digest(content) for content in self.encoded)
        return with_depth(found, self.tops, self.depth)

    @override
    def take(self, positions: IntArray) -> "HubImages":
        encoded = tuple(self.encoded[i] for i in positions)
        names = tuple(self.names[i] for i in positions)
        return HubImages(encoded, names, self.tops[positions], self.depth)

    @classmethod
    def joined(cls, parts: "Iterable[HubImages]") -> "HubImages":
        """Return the images of several files as one."""
        found = list(parts)
        encoded = tuple(content for part in found for content in part.encoded)
        names = tuple(name for part in found for name in part.names)
        return cls(encoded, names, np.concatenate([part.tops for part in found]), USUAL_DEPTH)


def _is_image(content: bytes) -> bool:
    try:
        with opened(content):
            return True
    except Exception:  # Pillow raises errors of many kinds on damaged files
        return False


@dataclass(frozen=True)
class _Split:
    """The instances and labels (N,) of one split, and what a user should know about its files."""

    instances: Texts | HubImages
    labels: NDArray[Any]
    notes: tuple[str, ...] = ()


def local_files(root: str) -> list[Path]:
    """Return the data files below a folder, sorted.

    Raises:
        InputError: there is no such folder, or it holds none.
    """
    folder = Path(root)
    if not folder.is_dir():
        raise InputError(f"dataset.root={root}: no such folder")
    below = files_below(folder, f"dataset.root={root}").files
    found = sorted(folder / path for path in below if Path(path).suffix.lower() in DATA_ENDINGS)
    if not found:
        raise InputError(f"dataset.root={root}: holds no files {', '.join(DATA_ENDINGS)}")
    return found


def _files_by_split(root: str, source: _Source, where: str) -> dict[str, list[Path]]:
    """Return the files of both splits, all of one kind.

    Where the root is a copy of a repository with several versions, the right one is taken.
    """
    below = Path(root) / source.folder
    files = local_files(str(below) if below.is_dir() else root)
    for ending in DATA_ENDINGS:
        found: dict[str, list[Path]] = {"train": [], "test": []}
        for path in files:
            split = _split_of(path.relative_to(root))
            if path.suffix.lower() == ending and split in found:
                found[split].append(path)
        if found["train"] and found["test"]:
            return found
    raise InputError(
        f"{where}: needs files named train* and test*, or folders train and test, each with files "
        f"of one kind of {', '.join(DATA_ENDINGS)}"
    )


def _split_of(path: Path) -> str | None:
    """Return the split that a path names, its last part first: train-00000.csv, test/0.csv.

    Validation splits are told apart so that train_test/validation.csv belongs to neither.
    """
    for part in (path.stem, *reversed(path.parts[:-1])):
        named = re.search(
            r"(?<![a-z])(train|test|val|dev)(ing|id|idation|elopment)?(?![a-z])", part.lower()
        )
        if named is not None:
            return named.group(1)
    return None


def _read_split(paths: list[Path], root: str, source: _Source, where: str) -> _Split:
    parts = [_read_file(path, source, f"{where}: {path.relative_to(root)}") for path in paths]
    labels: NDArray[Any] = np.concatenate(known_labels(*(part.labels for part in parts)))
    named = zip(paths, parts, strict=True)
    notes = tuple(f"{path.name}: {note}" for path, part in named for note in part.notes)
    images = [part.instances for part in parts if isinstance(part.instances, HubImages)]
    if images:
        return _Split(HubImages.joined(images), labels, notes)
    texts = [part.instances.strings for part in parts if isinstance(part.instances, Texts)]
    return _Split(Texts(tuple(text for some in texts for text in some)), labels, notes)


def _of_one_depth(splits: list[_Split], where: str) -> tuple[list[_Split], list[str]]:
    """Read the images of both splits with one depth, and note which it is.

    Raises:
        InputError: the values do not tell.
    """
    images = [split.instances for split in splits if isinstance(split.instances, HubImages)]
    if len(images) < len(splits):
        return splits, []
    tops = np.concatenate([part.tops for part in images])
    try:
        depth = Depth.of(tops)
    except ValueError as error:
        raise InputError(f"{where}: {error}") from error
    changed = [
        replace(split, instances=replace(part, depth=depth))
        for part, split in zip(images, splits, strict=True)
    ]
    return changed, depth.notes(tops)


def _read_file(path: Path, source: _Source, where: str) -> _Split:
    images = source.content == "image"
    if path.suffix.lower() != ".parquet":
        if images:
            raise InputError(f"{where}: images are read from Parquet files only")
        table = read_text_table(str(path), where)
        content, label = _columns(source, table.columns, where)
        labels: NDArray[Any] = as_strings(table.texts(label, where))
        return _Split(Texts(tuple(table.texts(content, where))), labels, table.notes)
    parquet = read_parquet_file(str(path), where, "hub")
    content, label = _columns(source, tuple(parquet.column_names), where)
    labels = _labels(parquet, label, where)
    values = parquet.column(content).to_pylist()
    if images:
        return _Split(HubImages.of_cells(values, where), labels)
    rows = [(row, {content: value}) for row, value in enumerate(values, start=1)]
    return _Split(Texts(tuple(Table(where, "row", (content,), rows).texts(content, where))), labels)


def _columns(source: _Source, available: tuple[str, ...], where: str) -> tuple[str, str]:
    """Return the columns of content and labels."""
    found = [label for label in source.labels if label in available]
    if source.content in available and found:
        return source.content, found[0]
    raise InputError(
        f"{where}: needs the columns {source.content} and {' or '.join(source.labels)}, but has "
        f"{', '.join(available)}"
    )


def _labels(table: Any, column: str, where: str) -> NDArray[Any]:
    """Return labels (N,), as names where the file says what its integers stand for."""
    labels = label_values(table.column(column), column, where)
    names = class_names(table, column)
    if names is None or labels.dtype.kind not in "iu":
        return labels
    outside = (labels < 0) | (labels >= len(names))
    if outside.any():
        row = int(np.argmax(outside))
        raise InputError(
            f"{where}: {column} is {labels[row]} in row {row + 1}; it must be 0 to {len(names) - 1}"
        )
    named: NDArray[Any] = as_strings(names)[labels]
    return named
