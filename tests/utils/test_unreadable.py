"""Every reader of a file that a user names says in one line that it cannot be read, and which."""

import errno
import io
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from alupdate.config.compose import compose_config
from alupdate.config.loader import check_yaml
from alupdate.config.options import make_option
from alupdate.data.arrays import Npz
from alupdate.data.parquet import Parquet
from alupdate.data.text_tables import read_text_table
from alupdate.models.networks import LITE
from alupdate.models.texts import _digest
from alupdate.models.weights import WeightsFile, read_tensors
from alupdate.results.csv_tables import read_run_table
from alupdate.results.store import RunStore
from alupdate.strategies.plugin import Plugin
from alupdate.sweep.status import read_manifest
from alupdate.utils.display import Display
from alupdate.utils.errors import InputError
from alupdate.utils.files import file_digest
from tests.support.images import small_files, write_zip
from tests.support.known_sets import accept_miniatures, build

QUIET = Display(enabled=False)
NUMBERS = (errno.EIO, errno.EACCES, errno.ENOENT)


def read_cifar(file):
    root = str(file.parent.parent)
    make_option("dataset", {"name": "cifar10", "root": root}).load(root / Path("cache"), QUIET)


def read_archive(file):
    option = make_option("dataset", {"name": "imagefolder", "path": str(file)})
    option.load(file.parent / "cache", QUIET)


def read_state(file):
    store = RunStore(compose_config(["dataset=digits", "backbone=pixels"]))
    store.path = file.parent
    store.load()


def read_weights(file):
    read_tensors(WeightsFile(file, "0" * 64, f"backbone.weights={file}"))


READERS = {
    "table.csv": lambda file: read_text_table(str(file), f"dataset.path={file}"),
    "arrays.npz": lambda file: Npz(path=str(file)).read(file.parent, QUIET),
    "digest.npz": lambda file: file_digest("dataset.path", str(file)),
    "images.zip": read_archive,
    "cifar/cifar-10-batches-bin/data_batch_1.bin": read_cifar,
    "model/vocab.txt": lambda file: _digest(file.parent, "backbone.model=model"),
    "mine.py": lambda file: Plugin(module="mine").digests(),
    "experiment.yaml": check_yaml,
    "sweep.csv": lambda file: read_manifest(file.parent),
    "curve.csv": read_run_table,
    "state.json": read_state,
}
BY_STATUS = {
    "table.parquet": lambda file: Parquet(path=str(file)).read(file.parent, QUIET),
    "lookups.npz": READERS["arrays.npz"],
}
"""Readers that other libraries open files for: the system says no when they look it up."""


@pytest.fixture
def folder(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    accept_miniatures(monkeypatch)
    build("cifar10", tmp_path / "cifar")
    write_zip(tmp_path / "images.zip", small_files())
    for name in (*READERS, *BY_STATUS):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        if not file.exists():
            file.write_text("a,b\n1,2\n")
    return tmp_path


def refuse(monkeypatch, target, number, where):
    """Let the system refuse one file: where it is opened, or where it is looked up."""
    real = {"open": io.open, "stat": os.stat}[where]

    def refusing(file, *arguments, **options):
        if isinstance(file, (str, Path)) and os.path.abspath(file) == str(target):
            raise OSError(number, os.strerror(number), str(file))
        return real(file, *arguments, **options)

    for place in {"open": ("builtins.open", "io.open"), "stat": ("os.stat",)}[where]:
        monkeypatch.setattr(place, refusing)


def line_of(reader, file):
    with pytest.raises(InputError) as caught:
        reader(file)
    return str(caught.value)


def check(line, file, number):
    assert file.name in line
    assert os.strerror(number) in line
    assert "\n" not in line
    assert "cannot write" not in line
    assert number == errno.ENOENT or "cannot be read" in line


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("name", READERS)
def test_a_file_that_cannot_be_opened_is_named(name, number, monkeypatch, folder):
    if name == "state.json" and number == errno.ENOENT:
        pytest.skip("a run without a state begins")
    with monkeypatch.context() as patch:
        refuse(patch, folder / name, number, "open")
        line = line_of(READERS[name], folder / name)
    check(line, folder / name, number)


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("name", BY_STATUS)
def test_a_file_that_cannot_be_looked_up_is_named(name, number, monkeypatch, folder):
    with monkeypatch.context() as patch:
        refuse(patch, folder / name, number, "stat")
        line = line_of(BY_STATUS[name], folder / name)
    check(line, folder / name, number)


@pytest.mark.parametrize("number", NUMBERS)
def test_weights_that_cannot_be_read_are_not_called_damaged(number, monkeypatch, tmp_path):
    def refused(path):
        raise OSError(number, os.strerror(number), str(path))

    file = tmp_path / "a.safetensors"
    monkeypatch.setitem(sys.modules, "safetensors.torch", SimpleNamespace(load_file=refused))
    check(line_of(read_weights, file), file, number)
    monkeypatch.setattr("alupdate.utils.files.sha256_of", refused)
    line = line_of(lambda file: LITE.locate("backbone=efficientnet_lite0"), file)
    assert line.startswith("backbone=efficientnet_lite0: ")
    assert os.strerror(number) in line
