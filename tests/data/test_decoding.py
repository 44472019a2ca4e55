"""Formats and depths of image files."""

import io
import os
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from alupdate.data.decoding import USUAL_DEPTH, Depth, decode, image_endings, tops_of
from alupdate.data.image_folder import ImageFolder
from alupdate.utils.display import Display
from alupdate.utils.errors import InputError
from tests.support.images import encoded, pixels, small_files, write_folder

QUIET = Display(enabled=False)
POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 12 12\n%%EndComments\nshowpage\n%%EOF\n"


def read(root, tmp_path):
    return ImageFolder(path=str(root)).load(tmp_path / "cache", QUIET)


def saved(values, kind):
    content = io.BytesIO()
    Image.fromarray(values).save(content, kind)
    return content.getvalue()


def coloured_png(values):
    """Return a PNG file of 16 bits per colour, which Pillow does not write."""

    def chunk(name, data):
        checksum = struct.pack(">I", zlib.crc32(name + data))
        return struct.pack(">I", len(data)) + name + data + checksum

    height, width, _ = values.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    header = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


def test_postscript_reaches_no_other_program(tmp_path, monkeypatch):
    called = tmp_path / "called"
    program = tmp_path / "bin" / "gs"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\ntouch {called}\necho 10.0\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    write_folder(tmp_path / "a", small_files() | {"train/cat/x.jpg": POSTSCRIPT})
    with pytest.raises(InputError, match=r"1 of 17 images cannot be read.*train/cat/x\.jpg"):
        read(tmp_path / "a", tmp_path)
    assert not called.exists()
    assert not image_endings() & {".eps", ".ps", ".wmf", ".emf"}


def grey_folder(root, top, dtype, kind):
    """Write two classes, one darker than the other, with values of up to ``top``."""
    rng = np.random.default_rng(0)
    files = {}
    for label, shade in (("dark", 0.3), ("light", 0.7)):
        for k in range(5):
            share = np.clip(shade + rng.normal(0, 0.05, (8, 8)), 0, 0.99)
            share[0, 0] = 1 if label == "light" else 0
            files[f"{label}/{k}.{kind.lower()}"] = saved((share * top).astype(dtype), kind)
    return write_folder(root, files)


@pytest.mark.parametrize(
    ("top", "dtype", "kind", "bits"),
    [
        (255, np.uint16, "PNG", 8),
        (1023, np.uint16, "TIFF", 10),
        (4095, np.uint16, "PNG", 12),
        (16383, np.uint16, "PNG", 14),
        (65535, np.uint16, "PNG", 16),
        (255, np.int32, "TIFF", 8),
        (65535, np.int32, "TIFF", 16),
        (2**31 - 1, np.int32, "TIFF", 31),
    ],
)
def test_the_values_of_a_data_set_tell_their_depth(top, dtype, kind, bits, tmp_path):
    dataset = read(grey_folder(tmp_path / "a", top, dtype, kind), tmp_path)
    stored = 16 if dtype is np.uint16 else 32
    note = f"10 greyscale images of {stored} bits have values up to {top}: read as {bits} bits"
    assert note in dataset.notes
    for position, label in enumerate(dataset.train_labels):
        assert abs(dataset.train[position].mean() - (76, 178)[label]) < 12


def test_a_file_of_another_depth_is_another_image(tmp_path):
    files = {f"{label}/{k}.png": encoded(pixels(k)) for k, label in enumerate("ababab")}
    dim = {"a/dim.png": saved(np.full((8, 8), 200, np.uint16), "PNG")}
    bright = {"b/bright.png": saved(np.full((8, 8), 60_000, np.uint16), "PNG")}
    alone = read(write_folder(tmp_path / "1", files | dim), tmp_path)
    beside = read(write_folder(tmp_path / "2", files | dim | bright), tmp_path)

    def shown(dataset):
        for images in (dataset.train, dataset.test):
            for position, path in enumerate(images.index.paths):
                if path == "a/dim.png":
                    return images[position][0, 0, 0], images.digests()[position].tobytes()
        raise AssertionError("the dim image is gone")

    assert [shown(alone)[0], shown(beside)[0]] == [200, 0]
    assert shown(alone)[1] != shown(beside)[1]


def test_values_that_fill_no_known_range_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"32 bits have values up to 1000000, which fill neither"):
        read(grey_folder(tmp_path / "a", 1_000_000, np.int32, "TIFF"), tmp_path)
    with pytest.raises(ValueError, match="negative"):
        decode(saved(np.full((4, 4), -3, np.int32), "TIFF"))


def test_colours_of_16_bits_that_pillow_would_make_black_are_refused(tmp_path):
    rng = np.random.default_rng(0)
    for top, refused in ((255, True), (4095, True), (65535, False)):
        files = {
            f"{label}/{k}.png": coloured_png(rng.integers(top // 2, top + 1, (8, 8, 3)))
            for label in "ab"
            for k in range(5)
        }
        root = write_folder(tmp_path / str(top), files)
        if refused:
            with pytest.raises(InputError, match=r"colour images of 16 bits hold no value above"):
                read(root, tmp_path)
        else:
            assert read(root, tmp_path).train[0].mean() > 150


def test_a_range_that_the_file_states_is_followed():
    dim = np.full((4, 4), 200, ">u2").tobytes()
    assert decode(b"P5 4 4 4095\n" + dim)[0, 0, 0] == 12
    assert tops_of(b"P5 4 4 4095\n" + dim) == (65535, 0, 0)
    assert Depth.of(np.array([tops_of(encoded(pixels(0)))])) == Depth(8, 8)
    assert Depth(16, 31) == USUAL_DEPTH
