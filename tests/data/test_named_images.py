"""Well-known image data sets, in miniature but in their real layout on disk."""

import pickle

import numpy as np
import pytest

from alupdate.config.options import make_option, options
from alupdate.data.image_files import decode
from alupdate.data.named_images import CIFAR, NamedImages
from alupdate.utils.display import Display
from alupdate.utils.errors import InputError
from tests.support.images import encoded, pixels, small_files, write_folder, write_zip
from tests.support.known_sets import BUILDERS, FOODS, TEXTURES, accept_miniatures, build

QUIET = Display(enabled=False)
THREE = {
    "cifar10": ("airplane", "automobile", "bird"),
    "cifar100": ("fine40", "fine41", "fine42"),
    "stl10": ("airplane", "bird", "car"),
    "svhn": ("0", "1", "2"),
}
SIDES = {"cifar10": 32, "cifar100": 32, "stl10": 96, "svhn": 32}
SIZES = {"cifar10": (30, 6), "dtd": (8, 4), "food101": (6, 6), "flowers102": (4, 4)}


@pytest.fixture(autouse=True)
def miniatures(monkeypatch):
    accept_miniatures(monkeypatch)


def read(name, tmp_path, root=None, download=False):
    return option(name, root, download).load(tmp_path / "cache", QUIET)


def digest(name, tmp_path, root):
    return option(name, root).digest(tmp_path / "cache", QUIET)


def option(name, root, download=False):
    settings = {"name": name, "root": root and str(root), "download": download}
    return make_option("dataset", settings)


@pytest.mark.parametrize("name", BUILDERS)
def test_own_layout_is_read(name, tmp_path):
    build(name, tmp_path / "root")
    dataset = read(name, tmp_path, tmp_path / "root")
    assert (len(dataset.train), len(dataset.test)) == SIZES.get(name, (6, 6))
    assert dataset.kind == "images"
    assert dataset.notes == ()


@pytest.mark.parametrize("name", BUILDERS)
def test_own_layout_is_known_by_its_content(name, tmp_path):
    digests = []
    for place in ("here", "there"):
        build(name, tmp_path / place)
        digests.append(digest(name, tmp_path, tmp_path / place))
    assert digests[0] == digests[1]
    files = sorted(path for path in (tmp_path / "there").rglob("*") if path.is_file())
    largest = max(files, key=lambda path: path.stat().st_size)
    largest.write_bytes(largest.read_bytes()[:-1] + b"!")
    assert digest(name, tmp_path, tmp_path / "there") != digests[0]


@pytest.mark.parametrize("name", THREE)
def test_arrays_are_upright_and_their_classes_named(name, tmp_path):
    build(name, tmp_path / "root")
    dataset = read(name, tmp_path, tmp_path / "root")
    assert dataset.classes == THREE[name]
    assert dataset.test_labels.tolist() == [0, 1, 2, 0, 1, 2]
    first = {"cifar10": 500}.get(name, 100)
    side = SIDES[name]
    for i in range(6):
        np.testing.assert_array_equal(dataset.test[i], pixels(first + i, side, side))
        np.testing.assert_array_equal(dataset.train[i], pixels(i, side, side))


def test_listed_files_keep_the_order_and_classes_of_the_lists(tmp_path):
    for name in ("dtd", "food101", "flowers102"):
        build(name, tmp_path / name)
    textures = read("dtd", tmp_path, tmp_path / "dtd")
    assert textures.classes == TEXTURES
    assert textures.train_labels.tolist() == [0, 0, 1, 1, 0, 0, 1, 1]
    foods = read("food101", tmp_path, tmp_path / "food101")
    assert foods.classes == FOODS
    flowers = read("flowers102", tmp_path, tmp_path / "flowers102")
    assert flowers.classes == ("blackberry lily", "pink primrose")
    assert flowers.train_labels.tolist() == [1, 0, 1, 0]
    third = decode((tmp_path / "flowers102/flowers-102/jpg/image_00007.jpg").read_bytes())
    np.testing.assert_array_equal(flowers.train[2], third)


@pytest.mark.parametrize(
    ("name", "inside"),
    [
        ("cifar10", "cifar-10-batches-bin"),
        ("dtd", "dtd"),
        ("dtd", "dtd/dtd"),
        ("food101", "food-101"),
        ("svhn", "train_32x32.mat"),
    ],
)
def test_a_root_further_down_is_the_same_data_set(name, inside, tmp_path):
    build(name, tmp_path / "root")
    whole, part = (
        read(name, tmp_path, root) for root in (tmp_path / "root", tmp_path / "root" / inside)
    )
    assert part.fingerprint() == whole.fingerprint()


@pytest.mark.parametrize("name", BUILDERS)
def test_image_folder_and_zip_are_read(name, tmp_path):
    folder = write_folder(tmp_path / "folder", small_files())
    archive = write_zip(tmp_path / "images.zip", small_files())
    assert read(name, tmp_path, folder).fingerprint() == read(name, tmp_path, archive).fingerprint()
    digests = [digest(name, tmp_path, root) for root in (folder, archive)]
    assert digests[0] == digests[1] is not None


@pytest.mark.parametrize(
    ("name", "file", "message"),
    [
        ("cifar10", "cifar-10-batches-bin/data_batch_3.bin", "data_batch_3.bin has"),
        ("cifar100", "cifar-100-binary/test.bin", "test.bin has"),
        ("stl10", "stl10_binary/test_X.bin", "files of stl10 are missing or damaged"),
        ("svhn", "test_32x32.mat", "files of svhn are missing or damaged"),
        ("flowers102", "flowers-102/setid.mat", "files of flowers102 are missing or damaged"),
        ("food101", "food-101/meta/test.json", "files of food101 are missing or damaged"),
        ("food101", "food-101/images/waffles/11.jpg", "food-101/images/waffles/11.jpg"),
        ("dtd", "dtd/dtd/labels/val1.txt", "missing or damaged"),
        ("dtd", "dtd/dtd/images/banded/banded_01.jpg", "banded_01.jpg"),
    ],
)
def test_truncated_and_missing_files_are_named(name, file, message, tmp_path):
    build(name, tmp_path / "root")
    path = tmp_path / "root" / file
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2 - 1])
    with pytest.raises(InputError, match=message) as caught:
        read(name, tmp_path, tmp_path / "root")
    assert str(caught.value).startswith(f"dataset.root={tmp_path / 'root'}: ")
    assert "\n" not in str(caught.value)
    path.unlink()
    with pytest.raises(InputError, match=r"^dataset.root="):
        read(name, tmp_path, tmp_path / "root")


def test_truncation_at_a_record_is_noticed(tmp_path):
    build("cifar10", tmp_path / "root")
    path = tmp_path / "root" / "cifar-10-batches-bin" / "test_batch.bin"
    path.write_bytes(path.read_bytes()[:3073])
    with pytest.raises(InputError, match="has 3073 bytes instead of 18438"):
        read("cifar10", tmp_path, tmp_path / "root")


def test_class_without_a_name_is_refused(tmp_path):
    build("cifar10", tmp_path / "root")
    (tmp_path / "root/cifar-10-batches-bin/batches.meta.txt").write_text("airplane\n")
    with pytest.raises(InputError, match=r"has class 2, but batches\.meta\.txt names 1"):
        read("cifar10", tmp_path, tmp_path / "root")


@pytest.mark.parametrize("name", CIFAR)
@pytest.mark.parametrize("inside", [False, True])
def test_pickled_version_is_refused_unread(name, inside, tmp_path, monkeypatch):
    folder = tmp_path / CIFAR[name].pickled
    folder.mkdir()
    (folder / "data_batch_1").write_bytes(pickle.dumps({"data": 1}))
    write_folder(tmp_path, small_files())
    monkeypatch.setattr("pickle.load", lambda *_: pytest.fail("unpickled"))
    with pytest.raises(InputError, match="is pickled and is not read; give the binary version"):
        read(name, tmp_path, folder if inside else tmp_path)


def test_wrong_roots_are_refused(tmp_path):
    with pytest.raises(InputError, match="no such folder or zip archive"):
        read("dtd", tmp_path, tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    for call in (read, digest):
        with pytest.raises(InputError, match="holds neither dtd/dtd nor train/<class>"):
            call("dtd", tmp_path, tmp_path / "empty")
    (tmp_path / "text.zip").write_text("hello")
    with pytest.raises(InputError, match="cannot be read as a zip archive"):
        read("svhn", tmp_path, tmp_path / "text.zip")


@pytest.mark.parametrize("splits", [("",), ("train",), ("test", "val")])
def test_images_without_both_parts_are_not_taken_for_the_data_set(splits, tmp_path):
    folder = write_folder(tmp_path / "images", small_files(splits))
    with pytest.raises(InputError, match="holds neither food-101 nor train/<class>"):
        read("food101", tmp_path, folder)


def test_wrong_checksums_are_refused(tmp_path, monkeypatch):
    monkeypatch.undo()
    for name in ("stl10", "svhn", "flowers102"):
        build(name, tmp_path / name)
        with pytest.raises(InputError, match="Dataset not found or corrupted"):
            read(name, tmp_path, tmp_path / name)


def test_an_image_outside_the_lists_changes_nothing(tmp_path):
    build("food101", tmp_path / "root")
    before = read("food101", tmp_path, tmp_path / "root")
    (tmp_path / "root/food-101/images/waffles/extra.jpg").write_bytes(encoded(pixels(99)))
    assert read("food101", tmp_path, tmp_path / "root").fingerprint() == before.fingerprint()


def test_every_name_is_tested():
    found = options("dataset").items()
    assert {name for name, kind in found if issubclass(kind, NamedImages)} == set(BUILDERS)
