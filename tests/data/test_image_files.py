"""Folders and zip archives of images, how images are decoded, and the index of them."""

import io
import logging
import os
import stat
import struct
import zipfile

import numpy as np
import pytest
from PIL import Image

from alupdate.data import image_files
from alupdate.data.decoding import decode
from alupdate.data.image_files import index_of
from alupdate.data.image_sources import (
    LARGEST_IMAGE_BYTES,
    ListedFiles,
    image_source,
    is_image,
)
from alupdate.utils.display import Display
from alupdate.utils.errors import InputError
from tests.support.images import encoded, pixels, small_files, write_folder, write_zip
from tests.support.processes import start_code

QUIET = Display(enabled=False)
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


def saved(image, kind="PNG", **options):
    content = io.BytesIO()
    image.save(content, kind, **options)
    return content.getvalue()


def test_grey_and_palette_images_become_colour():
    grey = pixels(0)[:, :, 0]
    np.testing.assert_array_equal(decode(encoded(grey)), np.repeat(grey[..., None], 3, 2))
    colours = Image.fromarray(pixels(0)).quantize(16)
    expected = np.asarray(colours.convert("RGB"))
    np.testing.assert_array_equal(decode(saved(colours)), expected)
    np.testing.assert_array_equal(decode(saved(colours, transparency=bytes(16))), expected)
    np.testing.assert_array_equal(decode(saved(colours, "GIF")), expected)
    black = Image.fromarray(grey > 127)
    assert set(np.unique(decode(saved(black)))) == {0, 255}


def test_alpha_is_dropped():
    image = np.concatenate([pixels(0), pixels(1)[:, :, :1]], axis=2)
    np.testing.assert_array_equal(decode(encoded(image)), pixels(0))
    pair = Image.fromarray(pixels(0)).convert("LA")
    assert decode(saved(pair)).shape == (8, 8, 3)


def test_cmyk_becomes_colour():
    image = Image.new("CMYK", (6, 4), (0, 255, 255, 0))
    decoded = decode(saved(image, "TIFF"))
    assert decoded.shape == (4, 6, 3)
    assert decoded[0, 0].tolist() == [255, 0, 0]
    assert decode(saved(image, "JPEG")).shape == (4, 6, 3)


def test_sixteen_bits_are_scaled_and_not_clipped():
    wide = np.arange(0, 2**16, 2**10, dtype=np.uint16).reshape(8, 8)
    for kind in ("PNG", "TIFF", "PPM"):
        decoded = decode(saved(Image.fromarray(wide), kind))
        np.testing.assert_array_equal(decoded[:, :, 0], wide // 256)
        assert decoded.shape == (8, 8, 3)


def test_floating_point_images_are_refused():
    with pytest.raises(ValueError, match="floating-point"):
        decode(saved(Image.fromarray(np.zeros((4, 4), np.float32)), "TIFF"))


@pytest.mark.parametrize(("orientation", "turns"), [(3, 2), (6, 3), (8, 1)])
def test_cameras_orientation_is_followed(orientation, turns):
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = pixels(0, 6, 4)
    decoded = decode(saved(Image.fromarray(image), exif=exif))
    np.testing.assert_array_equal(decoded, np.rot90(image, turns))
    assert decoded.dtype == np.uint8


def index(folder, tmp_path):
    return index_of(image_source(folder, "here"), tmp_path / "cache", QUIET)


@pytest.fixture
def folder(tmp_path):
    return write_folder(tmp_path / "images", small_files())


@pytest.fixture
def examined(monkeypatch):
    """Record which files are decoded."""
    calls, original = [], image_files._examine

    def examine(source, path):
        calls.append(path)
        return original(source, path)

    monkeypatch.setattr(image_files, "_examine", examine)
    return calls


def test_images_are_decoded_once(folder, examined, tmp_path, caplog):
    first = index(folder, tmp_path)
    assert len(examined) == 16
    second = index(folder, tmp_path)
    assert len(examined) == 16
    for name in ("paths", "digests", "sizes", "problems"):
        assert getattr(first, name).tolist() == getattr(second, name).tolist()
    assert second.sizes.tolist() == [[8, 8]] * 16
    assert not caplog.text


def test_a_changed_file_is_noticed(folder, examined, tmp_path):
    before = index(folder, tmp_path)
    (tmp_path / "images" / "test" / "cat" / "1.png").write_bytes(encoded(pixels(77)))
    after = index(folder, tmp_path)
    assert len(examined) == 32
    assert (after.digests != before.digests).sum() == 1
    (tmp_path / "images" / "test" / "cat" / "2.png").unlink()
    assert len(index(folder, tmp_path).paths) == 15


def test_a_damaged_memo_is_made_again(folder, examined, tmp_path, caplog):
    whole = index(folder, tmp_path)
    (memo,) = (tmp_path / "cache" / "images").glob("*.npz")
    content = memo.read_bytes()
    rng = np.random.default_rng(0)
    flips = sorted({int(i) for i in rng.integers(0, len(content), 60)})
    damaged = [b"", b"text", content[:-9], content[: len(content) // 2], _foreign()]
    damaged += [content[:i] + bytes([content[i] ^ 255]) + content[i + 1 :] for i in flips]
    noticed = 0
    for bad in damaged:
        memo.write_bytes(bad)
        examined.clear()
        caplog.clear()
        again = index(folder, tmp_path)
        assert again.digests.tolist() == whole.digests.tolist()
        assert again.sizes.tolist() == whole.sizes.tolist()
        assert ("is damaged" in caplog.text) == (len(examined) == 16)
        noticed += len(examined) == 16
    assert noticed >= len(damaged) // 2


def _foreign():
    content = io.BytesIO()
    np.savez(content, paths=np.array(["a"]), sizes=np.zeros(3), digests=np.zeros(16, np.uint8))
    return content.getvalue()


def test_two_processes_decode_once(folder, tmp_path):
    code = f"""
        from pathlib import Path
        from alupdate.data import image_files
        from alupdate.data.image_sources import image_source
        from alupdate.utils.display import Display
        original = image_files._decode_all
        def decode_all(*arguments):
            print("decoding", flush=True)
            return original(*arguments)
        image_files._decode_all = decode_all
        source = image_source({folder!r}, "here")
        print(len(image_files.index_of(source, Path({str(tmp_path)!r}), Display(False)).paths))
    """
    workers = [start_code(code) for _ in range(2)]
    answers = [worker.finish() for worker in workers]
    output = "".join(answer.stdout for answer in answers)
    assert [answer.returncode for answer in answers] == [0, 0]
    assert output.count("decoding") == 1
    assert output.count("16") == 2


def test_unwritable_cache_is_one_line(folder, tmp_path):
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(InputError, match=r"^cache_dir: cannot use .*images"):
        index(folder, tmp_path)


def test_progress_is_shown(folder, tmp_path, capsys):
    logging.getLogger("PIL").setLevel(logging.WARNING)
    index_of(image_source(folder, "here"), tmp_path / "cache", Display(enabled=True))
    assert "checking the images of here: 16/16" in capsys.readouterr().err
