import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from alupdate.data.parquet import Parquet
from alupdate.utils.display import Display
from alupdate.utils.errors import InputError

N = 20
RNG = np.random.default_rng(0)
COLUMNS = {
    "a": RNG.normal(size=N),
    "name": [f"row {i}" for i in range(N)],
    "b": np.arange(N),
    "label": ["yes" if i % 2 else "no" for i in range(N)],
    "c": np.arange(N) % 3 == 0,
}


def write(path, columns):
    pq.write_table(pa.table(columns), path)
    return str(path)


def read(path=None, **settings):
    option = Parquet(path=path and str(path), **settings)
    return option.load(Path("unused"), Display(enabled=False))


def test_numeric_columns_are_the_features(tmp_path):
    dataset = read(write(tmp_path / "d.parquet", COLUMNS))
    assert dataset.kind == "vectors"
    assert dataset.classes == ("no", "yes")
    assert dataset.notes == ("name: not numeric, left out",)
    rows = np.concatenate([dataset.train.rows, dataset.test.rows])
    labels = np.concatenate([dataset.train_labels, dataset.test_labels])
    expected = np.stack([COLUMNS["a"], COLUMNS["b"], COLUMNS["c"]], axis=1).astype(np.float32)
    order = np.argsort(rows[:, 1])
    np.testing.assert_array_equal(rows[order], expected)
    np.testing.assert_array_equal(labels[order], np.arange(N) % 2)


def test_labels_may_be_encoded_as_a_dictionary(tmp_path):
    coded = pa.array(COLUMNS["label"]).dictionary_encode()
    path = write(tmp_path / "d.parquet", {"a": COLUMNS["a"], "label": coded})
    assert read(path).classes == ("no", "yes")


def test_row_numbers_stored_by_pandas_are_no_feature(tmp_path):
    path = write(tmp_path / "d.parquet", COLUMNS | {"__index_level_0__": np.arange(N)})
    assert read(path).train.rows.shape == (16, 3)


@pytest.mark.parametrize(
    "kind", [pa.list_(pa.float32()), pa.large_list(pa.int64()), pa.list_(pa.float64(), 2)]
)
def test_lists_are_features(kind, tmp_path):
    lists = pa.array([[i, 2 * i] for i in range(N)], kind)
    path = write(tmp_path / "d.parquet", {"vector": lists, "label": np.arange(N) % 2 * 8 + 2})
    dataset = read(path, feature_column="vector")
    assert dataset.classes == ("2", "10")
    np.testing.assert_array_equal(dataset.train.rows[:, 1], 2 * dataset.train.rows[:, 0])
    np.testing.assert_array_equal(dataset.train.rows[:, 0] % 2, dataset.train_labels)


def test_two_files(tmp_path):
    train = write(tmp_path / "x.parquet", COLUMNS)
    test = write(tmp_path / "y.parquet", {k: v[:6] for k, v in COLUMNS.items()})
    dataset = read(train=train, test=test)
    np.testing.assert_array_equal(dataset.train.rows[:6], dataset.test.rows)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda c: {k: v for k, v in c.items() if k != "a"},
            "test file lacks the feature column a",
        ),
        (lambda c: c | {"z": np.arange(N)}, "training file lacks the feature column z"),
        (lambda c: {k: c[k] for k in ("b", "a", "c", "label")}, "in another order"),
        (
            lambda c: c | {"label": np.arange(N) % 2},
            "labels are strings in train and numbers in test",
        ),
        (lambda c: c | {"label": ["other"] * N}, "classes that y_train lacks, such as other"),
    ],
)
def test_files_that_do_not_go_together(change, message, tmp_path):
    train = write(tmp_path / "x.parquet", COLUMNS)
    test = write(tmp_path / "y.parquet", change(COLUMNS))
    with pytest.raises(InputError, match=message):
        read(train=train, test=test)


def with_value(name, row, value):
    values = list(COLUMNS[name])
    values[row] = value
    return COLUMNS | {name: values}


LISTS = {"label": COLUMNS["label"], "v": [[1.0, 2.0]] * N}
BROKEN = {
    "missing number": (with_value("a", 3, None), {}, "column a has 1 missing values, .* row 4"),
    "NaN": (with_value("a", 3, np.nan), {}, "column a has no finite 32-bit number in row 4"),
    "too large": (with_value("a", 5, 1e300), {}, "column a has no finite 32-bit number in row 6"),
    "missing label": (with_value("label", 2, None), {}, "column label has 1 missing .* row 3"),
    "fractions": (
        COLUMNS | {"label": np.ones(N) / 2},
        {},
        "column label holds double; labels must be",
    ),
    "lists as labels": (COLUMNS | {"label": [[1], [1, 2]] * 10}, {}, "column label holds list<"),
    "one class": (COLUMNS | {"label": ["a"] * N}, {}, "one class only"),
    "no label": (COLUMNS, {"label_column": "lable"}, "did you mean label\\? available: a, name"),
    "no lists": (COLUMNS, {"feature_column": "vec"}, "dataset.feature_column=vec: no such column"),
    "numbers": (COLUMNS, {"feature_column": "a"}, "holds double in .*; it must hold lists"),
    "no numbers": ({"label": ["a", "b"] * 9}, {}, "has no numeric column but label"),
    "no rows": ({"label": pa.array([], pa.string()), "a": pa.array([], pa.int8())}, {}, "no rows"),
    "lengths": (
        LISTS | {"v": [[1.0, 2.0]] * 4 + [[1.0]] * 16},
        {"feature_column": "v"},
        "v has 1 numbers in row 5, but 2 in row 1",
    ),
    "null list": (
        LISTS | {"v": [[1.0]] * 4 + [None] * 16},
        {"feature_column": "v"},
        "column v has 16 missing values, the first in row 5",
    ),
    "NaN in list": (
        LISTS | {"v": [[1.0, 2.0]] * 19 + [[1.0, None]]},
        {"feature_column": "v"},
        "column v has no finite 32-bit number in row 20",
    ),
    "empty lists": (
        {"label": COLUMNS["label"], "v": pa.array([[]] * N, pa.list_(pa.float32()))},
        {"feature_column": "v"},
        "the lists of v are empty",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_fault_is_one_line_that_names_file_and_row(name, tmp_path):
    columns, settings, message = BROKEN[name]
    path = write(tmp_path / "d.parquet", columns)
    with pytest.raises(InputError, match=message) as caught:
        read(path, **settings)
    assert "d.parquet" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_or_damaged_file(tmp_path):
    with pytest.raises(InputError, match=r"dataset.path=.*no.parquet: No such file"):
        read(tmp_path / "no.parquet")
    path = tmp_path / "d.parquet"
    write(path, COLUMNS)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(InputError, match="cannot be read as a Parquet file"):
        read(path)


def test_without_pyarrow_the_extra_is_named(tmp_path, monkeypatch):
    path = write(tmp_path / "d.parquet", COLUMNS)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(InputError, match=r"pip install 'alupdate\[parquet\]'"):
        read(path)


def test_a_table_of_many_columns(tmp_path):
    """Each column is looked up once: quadratic time would take minutes."""
    columns = {f"c{i}": np.arange(4) for i in range(5000)} | {"label": [0, 1, 0, 1]}
    start = time.process_time()
    dataset = read(write(tmp_path / "wide.parquet", columns), test_share=0.5)
    assert dataset.train.rows.shape == (2, 5000)
    assert time.process_time() - start < 20


def test_columns_that_32_bits_make_constant_are_named(tmp_path):
    columns = COLUMNS | {"time": 1_700_000_000 + np.arange(N)}
    (_, note) = read(write(tmp_path / "d.parquet", columns)).notes
    assert note.startswith("features time: differ by less than 32-bit numbers can tell")


def test_large_unsigned_labels_stay_apart(tmp_path):
    labels = np.array([2**63, 2**63 + 1] * 10, np.uint64)
    dataset = read(write(tmp_path / "d.parquet", COLUMNS | {"label": labels}))
    assert dataset.classes == (str(2**63), str(2**63 + 1))


def test_a_page_with_another_checksum_is_damaged(tmp_path):
    path = tmp_path / "a.parquet"
    numbers = np.arange(1000.0)
    table = pa.table({"a": numbers, "label": ["x", "y"] * 500})
    pq.write_table(table, path, compression="none", use_dictionary=False, write_page_checksum=True)
    content = path.read_bytes()
    assert len(read(str(path)).train) == 800
    path.write_bytes(content.replace(np.float64(500.0).tobytes(), np.float64(7.0).tobytes(), 1))
    with pytest.raises(InputError, match="cannot be read as a Parquet file"):
        read(str(path))
