"""Zip archives that no honest tool makes, and folders with odd entries."""

import os
import stat
import struct
import zipfile

import pytest

from alupdate.data.image_files import LARGEST_IMAGE_BYTES, ListedFiles, image_source, is_image
from alupdate.utils.errors import InputError
from tests.support.images import encoded, pixels, small_files, write_folder, write_zip

IMAGE = encoded(pixels(0))


def refusal(path):
    with pytest.raises(InputError) as caught:
        image_source(str(path), "here").stamps()
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    "name",
    ["../up.png", "a/../../up.png", "/etc/cat.png", "a\\..\\up.png", "C:/cat.png", "c:cat.png"],
)
def test_paths_out_of_the_archive_are_refused(name, tmp_path):
    path = write_zip(tmp_path / "a.zip", {"cat/1.png": IMAGE, name: IMAGE})
    assert f"member {name!r} has a path that leads out of the archive" in refusal(path)


def test_a_member_without_a_name_is_no_image(tmp_path):
    nameless = zipfile.ZipInfo("x")
    nameless.filename = ""
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(nameless, IMAGE)
        archive.writestr("cat/1.png", IMAGE)
    assert list(image_source(str(tmp_path / "a.zip"), "here").stamps()) == ["cat/1.png"]


def test_symbolic_links_are_refused(tmp_path):
    link = zipfile.ZipInfo("cat/link.png")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(link, "/etc/passwd")
    assert "'cat/link.png' is a symbolic link" in refusal(tmp_path / "a.zip")


def test_encrypted_members_are_refused(tmp_path):
    path = tmp_path / "a.zip"
    write_zip(path, {"cat/1.png": IMAGE})
    content = bytearray(path.read_bytes())
    for signature, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(signature) + flags] |= 1
    path.write_bytes(content)
    assert "'cat/1.png' is encrypted" in refusal(path)


def test_members_given_twice_are_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("cat/1.png", IMAGE)
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("cat/1.png", b"another")
    assert "'cat/1.png' is there twice" in refusal(tmp_path / "a.zip")


@pytest.mark.parametrize(("name", "refused"), [("cat/1.png", True), ("cat/notes.txt", False)])
def test_a_huge_declared_size_is_refused_where_it_would_be_read(name, refused, tmp_path):
    path = tmp_path / "a.zip"
    write_zip(path, {name: IMAGE, "dog/1.png": IMAGE})
    content = bytearray(path.read_bytes())
    entry = content.index(b"PK\x01\x02")
    content[entry + 24 : entry + 28] = struct.pack("<I", LARGEST_IMAGE_BYTES + 2**20)
    path.write_bytes(content)
    if refused:
        assert "'cat/1.png' would take 257 MiB" in refusal(path)
    else:
        assert list(image_source(str(path), "here").stamps()) == ["dog/1.png"]


def test_not_a_zip(tmp_path):
    (tmp_path / "text.zip").write_text("hello")
    assert refusal(tmp_path / "text.zip").startswith("here: cannot be read as a zip archive")
    (tmp_path / "empty.zip").write_bytes(b"")
    assert "cannot be read as a zip archive" in refusal(tmp_path / "empty.zip")


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.99])
def test_a_truncated_zip(share, tmp_path):
    path = tmp_path / "a.zip"
    write_zip(path, small_files())
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    assert "cannot be read as a zip archive" in refusal(path)


def test_listing_is_sorted_and_knows_changes(tmp_path):
    folder = write_folder(tmp_path / "images", small_files())
    before = image_source(folder, "here").stamps()
    assert list(before) == sorted(small_files())
    changed = tmp_path / "images" / "test" / "cat" / "0.png"
    times = changed.stat()
    changed.write_bytes(changed.read_bytes()[::-1])
    os.utime(changed, ns=(times.st_atime_ns, times.st_mtime_ns))
    after = image_source(folder, "here").stamps()
    assert [path for path in after if after[path] != before[path]] == ["test/cat/0.png"]


def test_broken_links_and_folders_with_an_ending_are_no_images(tmp_path):
    folder = write_folder(tmp_path / "images", {"cat/1.png": IMAGE})
    (tmp_path / "images" / "cat" / "gone.png").symlink_to(tmp_path / "nowhere")
    (tmp_path / "images" / "cat.png").mkdir()
    assert list(image_source(folder, "here").stamps()) == ["cat/1.png"]


def test_listed_files(tmp_path):
    write_folder(tmp_path, {"b.png": IMAGE, "a.png": IMAGE, "c.png": IMAGE})
    source = ListedFiles("here", tmp_path, ("b.png", "a.png"))
    assert list(source.stamps()) == ["a.png", "b.png"]
    assert source.read("a.png") == IMAGE
    with pytest.raises(InputError, match=r"^here: .*gone\.png: No such file"):
        ListedFiles("here", tmp_path, ("gone.png",)).stamps()


def test_endings():
    for path in ("a/b.JPG", "b.jpeg", "c.Tiff", "d.webp"):
        assert is_image(path)
    for path in ("a/.b.jpg", ".hidden/b.jpg", "__MACOSX/b.jpg", "b.npy", "jpg", "b.jpg.txt"):
        assert not is_image(path)
