import numpy as np
import pytest
import torch
from PIL import Image

from alupdate.data.image_files import ImageFiles, index_of
from alupdate.data.image_sources import image_source
from alupdate.models import images
from alupdate.models.images import (
    ImageBackbone,
    Preprocessing,
    normalised,
    preprocessing_of,
    squares,
)
from alupdate.utils.display import Display
from alupdate.utils.errors import InputError
from tests.support.image_problems import small_network
from tests.support.images import encoded, pixels, write_folder
from tests.support.memory import peak_mebibytes

CPU = torch.device("cpu")


def smooth_image(height, width, seed):
    """Coarse noise, enlarged: like a photograph, it has more coarse structure than fine."""
    coarse = np.random.default_rng(seed).integers(256, size=(12, 12, 3)).astype(np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))


@pytest.mark.parametrize("size", [None, 64, 96])
@pytest.mark.parametrize(
    "model",
    ["resnet18", "vit_small_patch14_dinov2.lvd142m", "test_resnet", "vit_base_patch16_clip_224"],
)
def test_inputs_are_those_of_timms_evaluation_transform(model, size):
    import timm

    how = preprocessing_of(ImageBackbone(name="timm", model=model, image_size=size))
    published = timm.models.get_pretrained_cfg(model).to_dict()
    overrides = {} if size is None else {"img_size": size}
    config = timm.data.resolve_data_config(overrides, pretrained_cfg=published)
    transform = timm.data.create_transform(**config, is_training=False)
    shapes = [(120, 200), (200, 120), (300, 300), (64, 64), (301, 173)]
    images = [smooth_image(*shape, seed) for seed, shape in enumerate(shapes)]
    ours = squares(images, how, CPU)
    deviation = torch.tensor(how.deviation)[:, None, None]
    mean = torch.tensor(how.mean)[:, None, None]
    theirs = torch.stack([transform(Image.fromarray(image)) for image in images])
    levels = theirs * deviation + mean  # back to 0..255
    difference = (ours - levels).abs()
    assert difference.max() < 1.5  # Pillow rounds to whole levels, twice
    assert difference.mean() < 0.5
    torch.testing.assert_close(normalised(levels, how), theirs, rtol=1e-4, atol=1e-5)


def test_squashing_networks_see_the_whole_image():
    how = Preprocessing(16, 16, True, "bilinear", (0.0,) * 3, (1.0,) * 3)
    image = np.zeros((16, 64, 3), np.uint8)
    image[:, :4] = 255
    assert squares([image], how, CPU)[0, 0, 0, 0] > 200
    cut = Preprocessing(16, 16, False, "bilinear", (0.0,) * 3, (1.0,) * 3)
    assert squares([image], cut, CPU).max() == 0


def test_order_is_kept_where_sizes_and_channels_differ():
    how = preprocessing_of(small_network("resnet18", 32))
    shapes = [(40, 40, 3), (32, 50, 1), (40, 40, 3), (9, 9, 1)]
    images = [np.full(shape, 50 * i, np.uint8) for i, shape in enumerate(shapes)]
    planes = squares(images, how, CPU)
    assert planes.shape == (4, 3, 32, 32)
    torch.testing.assert_close(planes.mean(dim=(1, 2, 3)), torch.tensor([0.0, 50, 100, 150]))


def test_values_stay_within_the_range_of_images():
    how = preprocessing_of(small_network("resnet18", 224))
    board = (np.indices((20, 20)).sum(axis=0) % 2 * 255).astype(np.uint8)[..., None]
    planes = squares([board], how, CPU)
    assert planes.min() == 0
    assert planes.max() == 255


def test_lite_keeps_its_own_preprocessing():
    settings = ImageBackbone(name="efficientnet_lite0", model="tf_efficientnet_lite0")
    how = preprocessing_of(settings)
    assert (how.size, how.scaled, how.interpolation) == (96, 96, "bilinear")
    image = np.random.default_rng(0).integers(256, size=(120, 120, 3)).astype(np.uint8)
    planes = torch.from_numpy(image).permute(2, 0, 1)[None].float()
    expected = torch.nn.functional.interpolate(planes, (96, 96), mode="bilinear", antialias=True)
    actual = normalised(squares([image], how, CPU), how)
    torch.testing.assert_close(actual, (expected - 127) / 128, rtol=1e-5, atol=1e-5)


def test_other_numbers_of_channels_are_refused():
    how = preprocessing_of(small_network("resnet18", 32))
    with pytest.raises(InputError, match="images have 4 channels"):
        squares([np.zeros((8, 8, 4), np.uint8)], how, CPU)


@pytest.mark.parametrize("shape", [(28, 28, 1), (90, 120, 3)])
def test_parts_of_any_size_give_the_same_bytes(shape, monkeypatch):
    how = preprocessing_of(ImageBackbone(name="resnet18", model="resnet18", weights="random"))
    rows = np.random.default_rng(0).integers(0, 256, (9, *shape), dtype=np.uint8)
    whole = images.squares_of(images.ArrayImages(rows), how, CPU)
    for size in (1, rows[0].nbytes, 5 * rows[0].nbytes):
        monkeypatch.setattr(images, "BYTES_AT_ONCE", size)
        assert torch.equal(images.squares_of(images.ArrayImages(rows), how, CPU), whole)


def test_files_are_decoded_in_order_and_in_parts(tmp_path, monkeypatch):
    sizes = [(8, 8), (40, 60), (8, 8), (60, 40), (9, 8), (8, 8), (50, 50), (8, 8)]
    files = {f"{'ab'[k % 2]}/{k}.png": encoded(pixels(k, *size)) for k, size in enumerate(sizes)}
    source = image_source(write_folder(tmp_path / "a", files), "here")
    found = ImageFiles.of(source, index_of(source, tmp_path / "cache", Display(enabled=False)))
    expected = [found[k] for k in range(len(found))]
    for size in (1, 500, 8000, 2**26):
        monkeypatch.setattr(images, "BYTES_AT_ONCE", size)
        parts = list(images.decoded_parts(found))
        assert all(len(p) == 1 or sum(i.nbytes for i in p) <= size for p in parts)
        for image, other in zip([i for p in parts for i in p], expected, strict=True):
            np.testing.assert_array_equal(image, other)


def test_memory_does_not_grow_with_the_number_of_photos(tmp_path):
    photo = np.zeros((1500, 2000, 3), np.uint8)
    files = {f"{label}/{k}.png": encoded(photo + k) for label in "ab" for k in range(9)}
    code = """
        from pathlib import Path
        import numpy as np
        from alupdate.data.image_folder import ImageFolder
        from alupdate.models import images
        from alupdate.utils.display import Display
        settings = images.ImageBackbone(name="timm", model="test_resnet", weights="random")
        network = images.ImageNetwork(settings, torch.device("cpu"))
        dataset = ImageFolder(path={root!r}).load(Path({cache!r}), Display(False))
        network.features(dataset.train.take(np.arange({count})))
    """
    root, cache = write_folder(tmp_path / "a", files), str(tmp_path / "cache")
    few, many = (
        peak_mebibytes(code.format(root=root, cache=cache, count=count)) for count in (3, 14)
    )
    assert many - few < 200  # 11 more are 94 MiB as they are, and 378 MiB as floats


@pytest.mark.parametrize("model", ["resnet18", "vit_base_patch16_clip_224"])
@pytest.mark.parametrize(("height", "width"), [(1, 300), (2, 200), (300, 1), (3, 48)])
def test_of_a_long_strip_only_the_middle_is_resized(model, height, width, monkeypatch):
    how = preprocessing_of(ImageBackbone(name="timm", model=model, image_size=32))
    strip = smooth_image(height, width, 0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(images, "LONGEST", 1000)
        whole = squares([strip], how, CPU)
    seen, resized = [], images._resized
    monkeypatch.setattr(images, "_resized", lambda p, h: seen.append(p.shape) or resized(p, h))
    torch.testing.assert_close(squares([strip], how, CPU), whole, atol=1e-3, rtol=0)
    assert max(seen[0][2:]) == min(16 * min(height, width), max(height, width))


def test_an_image_that_is_squashed_is_seen_to_its_ends():
    how = Preprocessing(32, 32, True, "bilinear", (0.0,) * 3, (1.0,) * 3)
    assert squares([np.eye(1, 300, dtype=np.uint8)[..., None] * 255], how, CPU).max() > 0
