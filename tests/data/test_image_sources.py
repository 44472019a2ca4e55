"""What a folder or archive holds: links, endings, names, and what is left out."""

import errno
import os
import zipfile
import zlib

import pytest

from alupdate.data import image_files, image_sources
from alupdate.data.image_files import index_of
from alupdate.data.image_folder import ImageFolder
from alupdate.data.image_sources import Folder, image_source
from alupdate.utils.display import Display
from alupdate.utils.errors import InputError
from tests.support.images import encoded, pixels, small_files, write_folder, write_zip

QUIET = Display(enabled=False)


def read(path, tmp_path, **options):
    return ImageFolder(path=str(path), **options).load(tmp_path / "cache", QUIET)


def test_each_process_reads_an_archive_through_a_file_of_its_own(tmp_path, monkeypatch):
    """Forked processes would share the position in the file."""
    files = small_files()
    source = image_source(write_zip(tmp_path / "a.zip", files), "here")
    assert all(source.read(name) == content for name, content in files.items())
    ours = source._zip
    assert source._zip is ours
    monkeypatch.setattr(os, "getpid", lambda: -1)
    assert source._zip.fp is not ours.fp
    assert all(source.read(name) == content for name, content in files.items())


def test_links_to_folders_are_followed(tmp_path):
    write_folder(tmp_path / "store", small_files())
    linked = tmp_path / "linked"
    (linked / "train").mkdir(parents=True)
    (linked / "train" / "cat").symlink_to(tmp_path / "store" / "train" / "cat")
    (linked / "train" / "dog").symlink_to("../../store/train/dog")
    (linked / "test").symlink_to(tmp_path / "store" / "test")
    found, plain = read(linked, tmp_path), read(tmp_path / "store", tmp_path)
    assert found.fingerprint() == plain.fingerprint()
    assert found.train_labels.tolist() == plain.train_labels.tolist()


@pytest.mark.parametrize("target", [".", "..", "../..", "../dog/.."])
def test_links_in_a_circle_are_refused(target, tmp_path):
    write_folder(tmp_path / "a" / "b", small_files(("",)))
    (tmp_path / "a" / "b" / "cat" / "up").symlink_to(target)
    with pytest.raises(InputError, match=r"cat/up\S* leads back to a folder around it"):
        read(tmp_path / "a" / "b", tmp_path)


def test_links_that_multiply_are_refused(tmp_path):
    write_folder(tmp_path / "9", small_files(("",)))
    for level in range(8, 0, -1):
        (tmp_path / str(level)).mkdir()
        for name in "xy":
            (tmp_path / str(level) / name).symlink_to(tmp_path / str(level + 1))
    with pytest.raises(InputError, match=r"over 100 links lead to"):
        read(tmp_path / "1", tmp_path)


@pytest.mark.parametrize(
    ("ending", "kind"),
    [("jfif", "JPEG"), ("jpe", "JPEG"), ("jp2", "JPEG2000"), ("tga", "TGA"), ("AVIF", "AVIF")],
)
def test_every_ending_of_a_readable_format_is_taken(ending, kind, tmp_path):
    files = small_files(("",), per_class=5)
    files |= {f"owl/{k}.{ending}": encoded(pixels(100 + k, 16, 16), kind) for k in range(5)}
    dataset = read(write_folder(tmp_path / "a", files), tmp_path)
    assert dataset.classes == ("cat", "dog", "owl")


@pytest.mark.parametrize("zipped", [False, True])
def test_everything_left_out_is_noted(zipped, tmp_path):
    others = {"train/cat/x.txt": b"", "train/cat/y": b"", "train/.z/1.png": b"", "__MACOSX/q": b""}
    root = tmp_path / "a"
    if zipped:
        root = write_zip(tmp_path / "a.zip", small_files() | others)
        with zipfile.ZipFile(root, "a") as archive:
            archive.mkdir("train/owl")
    else:
        write_folder(root, small_files() | others)
        (root / "train" / "owl").mkdir()
        (root / "train" / "gone.png").symlink_to("nowhere")
        os.mkfifo(root / "train" / "cat" / "pipe.png")
    notes = read(root, tmp_path).notes
    expected = [
        "left out: files without an image's ending (2, such as train/cat/x.txt)",
        "left out: folders without images (1, such as train/owl)",
    ]
    if not zipped:
        expected += [
            "left out: hidden files (2, such as __MACOSX/q)",
            "left out: links that lead nowhere (1, such as train/gone.png)",
            "left out: pipes, sockets and devices (1, such as train/cat/pipe.png)",
        ]
    assert set(expected) <= set(notes)


@pytest.mark.parametrize("folders", [("test",), ("val",), ("test", "val")])
def test_a_test_set_without_a_pool_is_no_set_of_classes(folders, tmp_path):
    root = write_folder(tmp_path / "a", small_files(folders))
    with pytest.raises(InputError, match=rf"has a folder {folders[0]}, but none called train"):
        read(root, tmp_path)


def test_a_class_may_be_called_test(tmp_path):
    files = {name.replace("dog", "test"): c for name, c in small_files(("",), 5).items()}
    assert read(write_folder(tmp_path / "a", files), tmp_path).classes == ("cat", "test")


def test_folders_within_classes_are_noted(tmp_path):
    notes = read(write_folder(tmp_path / "a", small_files(("one", "two"), 5)), tmp_path).notes
    assert notes[0] == (
        "4 folders lie in class folders, such as one/cat: their images have the class one"
    )


def test_names_that_are_not_utf8(tmp_path):
    root = os.fsencode(write_folder(tmp_path / "a", small_files()))
    os.rename(root + b"/train/cat/0.png", root + b"/train/cat/caf\xe9.png")
    assert len(read(tmp_path / "a", tmp_path).train) == 8
    os.rename(root + b"/train/cat", root + b"/train/caf\xe9")
    with pytest.raises(InputError, match=r"folder train/caf\\xe9 is not UTF-8"):
        read(tmp_path / "a", tmp_path)


def with_checksum(content, wanted):
    """Return content with four bytes more, chosen so that its CRC-32 is the wanted one."""
    table = [_entry(i) for i in range(256)]
    top = {entry >> 24: i for i, entry in enumerate(table)}
    state, chosen = wanted ^ 0xFFFFFFFF, []
    for _ in range(4):
        chosen.append(top[state >> 24])
        state = ((state ^ table[chosen[-1]]) << 8) & 0xFFFFFFFF
    register, added = zlib.crc32(content) ^ 0xFFFFFFFF, bytearray()
    for index in reversed(chosen):
        added.append((register ^ index) & 255)
        register = (register >> 8) ^ table[index]
    return content + bytes(added)


def _entry(number):
    """Return an entry of the table of CRC-32."""
    for _ in range(8):
        number = (number >> 1) ^ (0xEDB88320 if number & 1 else 0)
    return number


def test_archives_with_equal_checksums_are_told_apart(tmp_path):
    first, second = small_files(), {}
    for name, content in small_files().items():
        other = encoded(pixels(zlib.crc32(name.encode()) % 1000))
        size = max(len(content), len(other) + 4)
        first[name] = content.ljust(size, b"\0")
        second[name] = with_checksum(other.ljust(size - 4, b"\0"), zlib.crc32(first[name]))
        assert zlib.crc32(second[name]) == zlib.crc32(first[name])
    one = read(write_zip(tmp_path / "1.zip", first), tmp_path)
    two = read(write_zip(tmp_path / "2.zip", second), tmp_path)
    assert one.fingerprint() != two.fingerprint()


def test_an_archive_is_hashed_once(tmp_path, monkeypatch):
    path = write_zip(tmp_path / "a.zip", small_files())
    hashed, original = [], image_sources.sha256_of
    monkeypatch.setattr(image_sources, "sha256_of", lambda p: hashed.append(p) or original(p))
    fingerprints = {read(path, tmp_path).fingerprint() for _ in range(3)}
    assert (len(hashed), len(fingerprints)) == (1, 1)
    write_zip(tmp_path / "a.zip", small_files(per_class=5))
    assert read(path, tmp_path).fingerprint() not in fingerprints
    assert len(hashed) == 2


@pytest.mark.parametrize("number", [errno.EIO, errno.EMFILE])
@pytest.mark.parametrize("unreadable", ["error", "skip"])
def test_a_passing_error_is_not_kept(number, unreadable, tmp_path, monkeypatch):
    root = write_folder(tmp_path / "a", small_files())

    def fail(source, path):
        raise OSError(number, os.strerror(number), path)

    with monkeypatch.context() as patched:
        patched.setattr(Folder, "read", fail)
        with pytest.raises(InputError, match=rf"0\.png cannot be read \({os.strerror(number)}\)"):
            read(root, tmp_path, unreadable=unreadable)
    assert len(read(root, tmp_path, unreadable=unreadable).train) == 8


def test_lack_of_memory_is_not_kept(tmp_path, monkeypatch):
    root = write_folder(tmp_path / "a", small_files())

    def fail(*arguments):
        raise MemoryError

    with monkeypatch.context() as patched:
        patched.setattr(image_files, "decode", fail)
        with pytest.raises(InputError, match=r"0\.png cannot be read \(MemoryError\)"):
            read(root, tmp_path, unreadable="skip")
    assert len(read(root, tmp_path).train) == 8


def test_a_file_that_vanishes_is_named(tmp_path):
    root = write_folder(tmp_path / "a", small_files())
    dataset = read(root, tmp_path)
    (tmp_path / "a" / "train" / "cat" / "1.png").unlink()
    with pytest.raises(InputError, match=r"train/cat/1\.png cannot be read \(No such file"):
        dataset.train[1]


def test_an_endless_or_huge_file_is_no_image(tmp_path, monkeypatch):
    monkeypatch.setattr(image_sources, "LARGEST_IMAGE_BYTES", 2**12)
    root = write_folder(tmp_path / "a", small_files())
    with (tmp_path / "a" / "train" / "cat" / "big.png").open("wb") as file:
        file.truncate(2**40)
    (tmp_path / "a" / "train" / "cat" / "zero.png").symlink_to("/dev/zero")
    with pytest.raises(InputError, match=r"1 of 17 images cannot be read.*big\.png \(has more"):
        read(root, tmp_path)


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("/dev/zero")])
def test_what_is_no_file_is_no_archive(make, tmp_path):
    make(tmp_path / "a.zip")
    with pytest.raises(InputError, match="no such folder or zip archive"):
        read(tmp_path / "a.zip", tmp_path)


def test_an_archive_of_an_unknown_version_is_one_line(tmp_path):
    path = tmp_path / "a.zip"
    write_zip(path, small_files())
    content = bytearray(path.read_bytes())
    entry = content.index(b"PK\x01\x02")
    content[entry + 6] = 99
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        index_of(image_source(str(path), "here"), tmp_path / "cache", QUIET)
    assert "\n" not in str(caught.value)
