"""What images become when they are decoded, and the memo of what is known of them."""

import io
import logging

import numpy as np
import pytest
from PIL import Image

from alupdate.data import image_files
from alupdate.data.image_files import decode, image_source, index_of
from alupdate.utils.display import Display
from alupdate.utils.errors import InputError
from tests.support.images import encoded, pixels, small_files, write_folder
from tests.support.processes import start_code

QUIET = Display(enabled=False)


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
        from alupdate.data.image_files import image_source
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
    with pytest.raises(InputError, match=r"^cache_dir: cannot write .*images"):
        index(folder, tmp_path)


def test_progress_is_shown(folder, tmp_path, capsys):
    logging.getLogger("PIL").setLevel(logging.WARNING)
    index_of(image_source(folder, "here"), tmp_path / "cache", Display(enabled=True))
    assert "checking the images of here: 16/16" in capsys.readouterr().err
