"""Tables of OpenML, read from the copies that scikit-learn keeps."""

import gzip
from urllib.error import URLError

import numpy as np
import pytest

from alupdate.data.openml import OpenmlTable
from alupdate.utils.display import Display
from alupdate.utils.errors import InputError
from tests.support.openml_tables import build_openml, letters

QUIET = Display(enabled=False)


def read(tmp_path, table="letter", **options):
    option = OpenmlTable(name="openml", table=table, root=str(tmp_path / "root"), **options)
    return option.load(tmp_path / "cache", QUIET)


@pytest.fixture
def no_network(monkeypatch):
    def refuse(*_args, **_options):
        raise URLError("[Errno -2] Name or service not known")

    monkeypatch.setattr("sklearn.datasets._openml.urlopen", refuse)


@pytest.mark.usefixtures("no_network")
def test_table_is_split_in_proportion(tmp_path):
    build_openml(tmp_path / "root", "letter", *letters())
    dataset = read(tmp_path)
    assert (len(dataset.train), len(dataset.test)) == (72, 18)
    assert dataset.kind == "vectors"
    assert dataset.classes == ("A", "B", "C")
    assert np.bincount(dataset.test_labels).tolist() == [6, 6, 6]
    assert read(tmp_path).fingerprint() == dataset.fingerprint()
    assert len(read(tmp_path, test_share=0.5).test) == 45


@pytest.mark.usefixtures("no_network")
def test_without_a_root_the_cache_holds_the_copy(tmp_path):
    build_openml(tmp_path / "cache" / "openml", "letter", *letters())
    option = OpenmlTable(name="letter", table="letter")
    assert len(option.load(tmp_path / "cache", QUIET).train) == 72


@pytest.mark.usefixtures("no_network")
def test_numbers_as_classes_are_strings(tmp_path):
    rows = [f"{i},{i % 2}" for i in range(20)]
    build_openml(tmp_path / "root", "pen", rows, {"x": "numeric", "class": "{0,1}"})
    assert read(tmp_path, "pen").classes == ("0", "1")


@pytest.mark.parametrize(
    ("types", "target", "message"),
    [
        ({"x": "numeric", "colour": "{0,1}", "class": "{0,1}"}, "class", "features colour are not"),
        ({"x": "numeric", "y": "numeric", "class": "{0,1}"}, None, "no single column of classes"),
        ({"y": "numeric", "class": "{0,1}", "x": "numeric"}, "x", "holds numbers, not classes"),
    ],
)
@pytest.mark.usefixtures("no_network")
def test_unsuitable_columns_are_named(types, target, message, tmp_path):
    rows = [
        f"{i},{i % 2},{i % 2}.5" if target == "x" else f"{i},{i % 2},{i % 2}" for i in range(20)
    ]
    build_openml(tmp_path / "root", "odd", rows, types, target)
    with pytest.raises(InputError, match=message) as caught:
        read(tmp_path, "odd")
    assert str(caught.value).startswith("dataset.table=odd: ")


@pytest.mark.usefixtures("no_network")
def test_missing_values_are_refused(tmp_path):
    rows = [f"{'?' if i == 3 else i},{i % 2}" for i in range(20)]
    build_openml(tmp_path / "root", "gaps", rows, {"x": "numeric", "class": "{0,1}"})
    with pytest.raises(InputError, match="NaN or infinite values in 1 rows"):
        read(tmp_path, "gaps")


@pytest.mark.usefixtures("no_network")
def test_sparse_tables_are_refused(tmp_path):
    build_openml(tmp_path / "root", "thin", *letters(), kind="Sparse_ARFF")
    with pytest.raises(InputError, match="Sparse ARFF"):
        read(tmp_path, "thin")


@pytest.mark.usefixtures("no_network")
def test_no_network_is_one_line(tmp_path, recwarn):
    with pytest.raises(InputError, match="Name or service not known") as caught:
        read(tmp_path)
    message = str(caught.value)
    assert message.startswith(f"dataset.table=letter: version 1 is not in {tmp_path / 'root'}, ")
    assert "\n" not in message
    assert not recwarn.list


@pytest.mark.parametrize(
    "content",
    [b"not gzip", gzip.compress(b"@RELATION cut", mtime=0)[:-9], b""],
    ids=["not gzip", "cut", "empty"],
)
@pytest.mark.usefixtures("no_network")
def test_damaged_copy_is_one_line(content, tmp_path):
    build_openml(tmp_path / "root", "letter", *letters())
    (arff,) = (tmp_path / "root").rglob("*.arff.gz")
    arff.write_bytes(content)
    with pytest.raises(InputError, match="download failed"):
        read(tmp_path)


@pytest.mark.parametrize("table", ["../../etc", "a b", "a/b", "a\nb"])
def test_odd_names_are_refused(table, tmp_path):
    with pytest.raises(InputError, match="no name of a table"):
        read(tmp_path, table)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("no_network")
def test_warnings_of_openml_become_notes(tmp_path):
    build_openml(tmp_path / "root", "letter", *letters())
    (described,) = (tmp_path / "root").rglob("data/77.gz")
    text = gzip.decompress(described.read_bytes()).replace(b'"active"', b'"deactivated"')
    described.write_bytes(gzip.compress(text))
    assert "is inactive" in read(tmp_path).notes[0]


@pytest.mark.usefixtures("no_network")
def test_nothing_is_unpickled(tmp_path, monkeypatch):
    build_openml(tmp_path / "root", "letter", *letters())
    for name in ("pickle.load", "pickle.loads", "joblib.load"):
        monkeypatch.setattr(name, lambda *_args, **_options: pytest.fail("unpickled"))
    assert len(read(tmp_path).train) == 72
