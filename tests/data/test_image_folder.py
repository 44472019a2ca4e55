"""Folders and zip archives of images: layouts, splits and damaged files."""

import numpy as np
import pytest

from alupdate.data.image_folder import ImageFolder
from alupdate.utils.display import Display
from alupdate.utils.errors import InputError
from tests.support.images import encoded, pixels, small_files, write_folder, write_zip
from tests.support.memory import peak_mebibytes

QUIET = Display(enabled=False)


def read(path, tmp_path, **options):
    return ImageFolder(path=str(path), **options).load(tmp_path / "cache", QUIET)


@pytest.fixture(params=["folder", "zip"])
def place(request, tmp_path):
    """Write files as a folder, or as a zip archive."""

    def write(files):
        if request.param == "folder":
            return write_folder(tmp_path / "images", files)
        return write_zip(tmp_path / "images.zip", files)

    return write


def renamed(files, change):
    return {change(name): content for name, content in files.items()}


def test_split_folders(place, tmp_path):
    files = small_files()
    dataset = read(place(files), tmp_path)
    assert (len(dataset.train), len(dataset.test)) == (8, 8)
    assert dataset.classes == ("cat", "dog")
    assert dataset.train_labels.tolist() == [0] * 4 + [1] * 4
    assert dataset.notes == ()
    assert dataset.train.shape == (8, 8, 3)
    names = list(files)
    for part, start in ((dataset.train, 0), (dataset.test, 8)):
        for i in range(8):
            assert names[start + i] == part.index.paths[i]
            np.testing.assert_array_equal(part[i], pixels(start + i))


def test_class_folders_are_split_in_proportion_and_always_alike(place, tmp_path):
    path = place(small_files(("",), per_class=10))
    dataset = read(path, tmp_path)
    assert np.bincount(dataset.train_labels).tolist() == [8, 8]
    assert np.bincount(dataset.test_labels).tolist() == [2, 2]
    assert dataset.notes == ("no folder is called test: 4 images are held out at random",)
    assert read(path, tmp_path / "other").fingerprint() == dataset.fingerprint()
    assert len(read(path, tmp_path, test_share=0.5).test) == 10


@pytest.mark.parametrize("wrapper", ["photos", "photos/of/mine"])
@pytest.mark.parametrize("splits", [("train", "test"), ("",), ("train",)])
def test_folders_around_everything_are_ignored(wrapper, splits, place, tmp_path):
    files = small_files(splits, per_class=5)
    plain = read(write_folder(tmp_path / "plain", files), tmp_path)
    wrapped = read(place(renamed(files, lambda name: f"{wrapper}/{name}")), tmp_path)
    assert wrapped.fingerprint() == plain.fingerprint()
    assert wrapped.train_labels.tolist() == plain.train_labels.tolist()


@pytest.mark.parametrize("split", ["val", "valid", "Validation", "testing"])
def test_other_names_of_the_test_set(split, place, tmp_path):
    dataset = read(place(small_files(("Training", split))), tmp_path)
    assert dataset.test.index.paths[0] == f"{split}/cat/0.png"


def test_the_test_folder_comes_before_validation(place, tmp_path):
    dataset = read(place(small_files(("train", "val", "test"))), tmp_path)
    assert {path.split("/")[0] for path in dataset.test.index.paths} == {"test"}
    assert len(dataset.train) == 8
    assert dataset.notes == (
        "8 images in folders of other splits are not used, such as val/cat/0.png",
    )


def test_a_class_may_be_called_train(place, tmp_path):
    files = renamed(small_files(("",)), lambda name: name.replace("dog", "train"))
    assert read(place(files), tmp_path).classes == ("cat", "train")


def test_nested_folders_belong_to_their_class(place, tmp_path):
    files = renamed(small_files(), lambda name: name.replace("cat/", "cat/deep/er/"))
    dataset = read(place(files), tmp_path)
    assert dataset.classes == ("cat", "dog")
    assert len(dataset.train) == 8


def test_hidden_and_other_files_are_ignored(place, tmp_path):
    image = encoded(pixels(99))
    others = {
        "train/cat/._0.png": b"Apple's",
        ".cache/cat/1.png": image,
        "__MACOSX/train/cat/1.png": image,
        "README.txt": b"hello",
        "train/cat/labels.csv": b"1,2",
    }
    assert len(read(place(small_files() | others), tmp_path).train) == 8


def test_images_outside_class_folders_are_named(place, tmp_path):
    stray = {"train/stray.png": encoded(pixels(99))}
    with pytest.raises(InputError, match=r"train/stray\.png lies in no class folder; expected <sp"):
        read(place(small_files() | stray), tmp_path)


def test_images_beside_class_folders_are_named(place, tmp_path):
    stray = {"stray.png": encoded(pixels(99))}
    with pytest.raises(InputError, match=r"stray\.png lies in no class folder; expected <class>"):
        read(place(small_files(("",)) | stray), tmp_path)


def test_no_images(place, tmp_path):
    with pytest.raises(InputError, match=r"holds no images; expected <class>/\* or train/<class>"):
        read(place({"train/cat/notes.txt": b"none"}), tmp_path)
    with pytest.raises(InputError, match="no such folder or zip archive"):
        read(tmp_path / "nowhere", tmp_path)


@pytest.mark.parametrize(
    ("lost", "message"),
    [("train/dog", "classes that y_train lacks, such as dog"), ("test/dog", None)],
)
def test_classes_of_one_part_only(lost, message, place, tmp_path):
    extra = {f"{s}/eel/{i}.png": encoded(pixels(90 + i)) for s in ("train", "test") for i in (0,)}
    files = {n: c for n, c in (small_files() | extra).items() if not n.startswith(lost)}
    if message is not None:
        with pytest.raises(InputError, match=message):
            read(place(files), tmp_path)
    else:
        assert "dog: no test instance has this class" in read(place(files), tmp_path).notes


def test_copies_across_pool_and_test_set_are_counted(place, tmp_path):
    files = small_files()
    files["test/cat/0.png"] = files["train/cat/1.png"]
    notes = read(place(files), tmp_path).notes
    assert notes == ("1 of 8 test instances are in the pool, too (exact copies)",)


def damaged_files():
    photograph = encoded(pixels(0, 64, 64), "JPEG")
    return {
        "train/cat/a_cut.jpg": photograph[: len(photograph) // 2],
        "train/cat/b_empty.png": b"",
        "train/dog/c_text.jpg": b"hello, I am a text\n" * 9,
    }


def test_unreadable_images_are_named(place, tmp_path):
    path = place(small_files() | damaged_files())
    with pytest.raises(InputError, match=r"3 of 19 images .* first is train/cat/a_cut\.jpg") as e:
        read(path, tmp_path)
    assert "dataset.unreadable=skip" in str(e.value)
    assert "\n" not in str(e.value)


@pytest.mark.parametrize("name", damaged_files())
def test_each_kind_of_damage_is_noticed(name, place, tmp_path):
    path = place(small_files() | {name: damaged_files()[name]})
    with pytest.raises(InputError, match=f"1 of 17 images cannot be read, the first is {name}"):
        read(path, tmp_path)


def test_unreadable_images_are_left_out_if_asked(place, tmp_path):
    path = place(small_files() | damaged_files())
    dataset = read(path, tmp_path, unreadable="skip")
    assert len(dataset.train) == 8
    assert dataset.notes[0].startswith("3 of 19 images cannot be read, the first is train/cat/a_")
    assert dataset.notes[0].endswith(": left out")


def test_folder_and_zip_of_the_same_images_are_the_same_data(tmp_path):
    folder = write_folder(tmp_path / "images", small_files())
    archive = write_zip(tmp_path / "images.zip", small_files())
    assert read(folder, tmp_path).fingerprint() == read(archive, tmp_path).fingerprint()
    cache = tmp_path / "cache"
    digests = {ImageFolder(path=path).digest(cache, QUIET) for path in (folder, archive)}
    assert len(digests) == 1


def test_sizes_can_be_reduced(place, tmp_path):
    path = place(small_files())
    dataset = read(path, tmp_path, n_train=5, n_test=3)
    assert (len(dataset.train), len(dataset.test)) == (5, 3)
    assert len(dataset.train.digests()) == 5
    with pytest.raises(InputError, match=r"dataset\.n_test=9: there are only 8 instances"):
        read(path, tmp_path, n_test=9)


def test_memory_does_not_grow_with_the_images(tmp_path):
    """Decoded, they are 240 MiB; a few at a time are held."""
    large = encoded(np.full((1000, 1000, 3), 7, np.uint8))
    files = {f"{s}/{c}/{i}.png": large for s in ("train", "test") for c in "ab" for i in range(21)}
    write_folder(tmp_path / "images", files)
    code = """
        from pathlib import Path
        from alupdate.data import image_files
        from alupdate.data.image_folder import ImageFolder
        from alupdate.utils.display import Display
    """
    call = f"""
        image_files.THREADS = 2
        folder = ImageFolder(path={str(tmp_path / "images")!r})
        folder.load(Path({str(tmp_path / "cache")!r}), Display(False))
    """
    assert peak_mebibytes(code + call) - peak_mebibytes(code) < 100
