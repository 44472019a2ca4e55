"""How frozen networks compute: precision, chunks, and worker processes that decode."""

import errno
import pickle

import numpy as np
import pytest
import torch

from alupdate.data.arrays import mnist5k
from alupdate.data.dataset import ArrayImages, Texts
from alupdate.data.image_folder import ImageFolder
from alupdate.models import features, images
from alupdate.models.extractors import Chunks, decoding_workers, deviation
from alupdate.models.features import Parts
from alupdate.models.images import ImageBackbone, ImageNetwork
from alupdate.models.texts import PACKAGED_MODEL, TextBackbone
from alupdate.utils.display import Display
from alupdate.utils.errors import InputError
from tests.support.image_problems import few_images, small_network
from tests.support.images import small_files, write_folder, write_zip

CPU, QUIET = torch.device("cpu"), Display(enabled=False)


def lite(**settings):
    name, model = "efficientnet_lite0", "tf_efficientnet_lite0"
    return ImageBackbone(name=name, model=model, **settings)


def minilm(**settings):
    return TextBackbone(name="minilm", model=PACKAGED_MODEL, pooling="mean", **settings)


def some(kind):
    if kind == "texts":
        return Texts(tuple(f"where is card {i} that I ordered {i} days ago" for i in range(20)))
    return mnist5k().train.take(np.arange(0, 4000, 200))


@pytest.mark.parametrize(
    ("kind", "backbone", "precision"),
    [("images", lite, "float16"), ("texts", minilm, "float16"), ("texts", minilm, "bfloat16")],
)
def test_features_in_half_precision_are_within_a_hundredth(kind, backbone, precision):
    half, whole = (backbone(precision=p).extractor(CPU) for p in (precision, "float32"))
    found, exact = half.features(some(kind)), whole.features(some(kind))
    assert found.dtype == np.float32
    difference = np.linalg.norm(found - exact) / np.linalg.norm(exact)
    assert 0 < difference < 1e-2
    assert deviation(half, some(kind)) == pytest.approx(difference, rel=1e-3)


def test_precision_is_part_of_what_the_cache_goes_by():
    for backbone in (lite, minilm):
        identities = [backbone(precision=p).identity for p in ("float32", "bfloat16", "float16")]
        assert identities[1:] == [f"{identities[0]}|{p}" for p in ("bfloat16", "float16")]
        assert identities[0] == backbone().identity
        assert "float" not in identities[0]


@pytest.mark.parametrize(("precision", "lines"), [("float32", 0), ("bfloat16", 1)])
def test_a_network_that_half_precision_changes_more_is_named(precision, lines, tmp_path, capsys):
    parts = Parts("digits", (some("images"),))
    lite(precision=precision).raw_features(parts, CPU, tmp_path, QUIET)
    said = capsys.readouterr().err
    assert said.count("\n") == lines
    assert ("warning: backbone.precision=bfloat16: features of the first 20" in said) == lines


def test_features_beyond_half_precision_are_refused_with_what_would_do(tmp_path, capsys):
    network = small_network("test_resnet", precision="float16").extractor(CPU)
    network._network.register_forward_hook(lambda module, given, found: found * 1e6)
    parts = Parts.of(few_images())
    with pytest.raises(InputError, match=r"use backbone\.precision=bfloat16 or float32"):
        images_of(network, parts, tmp_path)
    assert "%" not in capsys.readouterr().err  # no difference of infinite numbers


def test_a_log_that_cannot_be_written_is_blamed_on_the_cache(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(features, "record_line", full)
    network = small_network("test_resnet", precision="float16").extractor(CPU)
    with pytest.raises(InputError, match=r"cache_dir: cannot use .* \(No space left on device\)"):
        images_of(network, Parts.of(few_images()), tmp_path)


def test_what_stands_in_the_way_of_the_features_is_named(tmp_path):
    network = small_network("test_resnet").extractor(CPU)
    images_of(network, Parts.of(few_images()), tmp_path)
    (file,) = (tmp_path / "features").glob("*.npy")
    file.unlink()
    file.mkdir()
    with pytest.raises(InputError, match=rf"cache_dir: cannot use .*{file.name} \("):
        images_of(network, Parts.of(few_images()), tmp_path)


def images_of(network, parts, cache):
    from alupdate.models.features import extracted

    return extracted(parts, network, cache, QUIET)


def test_a_trained_network_has_no_half_precision():
    with pytest.raises(InputError, match=r"backbone\.precision=float16: is for the features of a"):
        lite(precision="float16", frozen=False).check()


@pytest.mark.parametrize(("start", "stop"), [(0, 25), (4, 25), (8, 12), (24, 25), (5, 5)])
@pytest.mark.parametrize("size", [1, 4, 64])
def test_chunks_are_the_same_wherever_an_extraction_begins(start, stop, size):
    rows = np.arange(25, dtype=np.uint8).reshape(25, 1, 1, 1)
    parts = (ArrayImages(rows[:10]), ArrayImages(rows[10:10]), ArrayImages(rows[10:]))
    chunks = Chunks.between(parts, start, stop, size)
    found = [chunk.rows.ravel().tolist() for chunk in chunks]
    assert [i for chunk in found for i in chunk] == list(range(start, stop))
    assert all(len(chunk) <= size for chunk in found)
    if start % size == 0:
        assert found == [
            [i for i in chunk.rows.ravel().tolist() if start <= i < stop]
            for chunk in Chunks.between(parts, start - start % size, 25, size)
            if start <= chunk.rows.ravel()[0] < stop
        ]


@pytest.mark.filterwarnings("ignore:This DataLoader will create")
@pytest.mark.parametrize("write", [write_folder, write_zip])
def test_worker_processes_decode_the_same_features(write, tmp_path, monkeypatch):
    source = write(tmp_path / "images", small_files(per_class=20))
    parts = Parts.of(ImageFolder(path=source).load(tmp_path / "cache", QUIET))
    network = ImageNetwork(small_network("test_resnet"), CPU)
    network.chunk = 4
    alone = np.concatenate(images_of(network, parts, None))
    monkeypatch.setattr(images, "decoding_workers", lambda device: 2)
    np.testing.assert_array_equal(np.concatenate(images_of(network, parts, None)), alone)


def test_what_a_worker_cannot_read_is_one_line(tmp_path, monkeypatch):
    source = write_folder(tmp_path / "images", small_files())
    parts = Parts.of(ImageFolder(path=source).load(tmp_path / "cache", QUIET))
    path = tmp_path / "images" / str(parts.instances[0].index.paths[3])
    path.write_bytes(path.read_bytes()[:60])
    monkeypatch.setattr(images, "decoding_workers", lambda device: 1)
    network = ImageNetwork(small_network("test_resnet"), CPU)
    with pytest.raises(InputError, match=rf"{path.name} cannot be decoded") as caught:
        images_of(network, parts, None)
    assert "\n" not in str(caught.value)


def test_what_workers_do_can_be_sent_to_a_process_that_is_spawned(monkeypatch):
    sent = []

    def inputs(chunks, prepare, workers, device):
        sent.append(prepare)
        return iter(())

    monkeypatch.setattr(images, "network_inputs", inputs)
    part = few_images().train
    list(ImageNetwork(small_network("test_resnet"), CPU).stream([part]))
    (there,) = pickle.loads(pickle.dumps(sent))
    assert torch.equal(there(part), sent[0](part))


def test_workers_decode_for_a_gpu_alone():
    assert decoding_workers(CPU) == 0
    assert 1 <= decoding_workers(torch.device("cuda")) <= 8
