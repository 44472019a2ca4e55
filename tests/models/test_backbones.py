import numpy as np
import pytest
import torch

from alupdate.data.arrays import digits
from alupdate.data.dataset import Texts, from_arrays, make_dataset
from alupdate.data.feature_cache import Features
from alupdate.models.cnn import CnnBackbone, initial_network
from alupdate.models.end_to_end import train_network
from alupdate.models.extractors import Extractor
from alupdate.models.features import Parts, extracted
from alupdate.models.plain import PlainBackbone, flatten
from alupdate.models.scales import standardise
from alupdate.models.texts import TextBackbone
from alupdate.models.training import Recipe
from alupdate.utils.display import Display
from alupdate.utils.errors import InputError
from tests.support.image_problems import small_network


def vectors():
    rows = np.arange(12.0).reshape(6, 2)
    return from_arrays("v", rows, np.arange(6) % 2, rows, np.arange(6) % 2, "here")


def test_standardised_pool_has_mean_0_and_variance_1_and_constants_vanish():
    features = standardise(Features(*flatten(Parts.of(digits("digits")), "pixels")))
    varies = features.pool.std(axis=0) > 0
    np.testing.assert_allclose(features.pool.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(features.pool.std(axis=0)[varies], 1, rtol=1e-4)
    assert 0 < varies.sum() < 64


def test_standardising_uses_the_pool_alone():
    pool = np.array([[0.0], [2.0]], np.float32)
    assert standardise(Features(pool, np.array([[5.0]], np.float32))).test.tolist() == [[4.0]]


def test_image_networks_refuse_what_is_no_image(tmp_path):
    device, rng = torch.device("cpu"), np.random.default_rng(0)
    complaint = "needs images, but v has feature vectors of dimension 2"
    with pytest.raises(InputError, match=complaint):
        small_network().features(vectors(), device, tmp_path, Display(False))
    trained = small_network(frozen=False)
    with pytest.raises(InputError, match=complaint):
        trained.trainable(vectors(), 0.1, rng, device, Display(False))


def test_only_frozen_networks_use_the_feature_cache():
    networks = (small_network(), TextBackbone(name="bert", model="bert-base-uncased"))
    assert all(network.frozen and network.extracts for network in networks)
    plain = PlainBackbone(name="pixels")
    assert (plain.frozen, plain.extracts) == (True, False)
    for trained in (small_network(frozen=False), CnnBackbone()):
        assert (trained.frozen, trained.extracts) == (False, False)


def test_only_a_file_counts_as_own_weights():
    named = [
        small_network(weights=w).own_weights for w in ("pretrained", "random", "a.safetensors")
    ]
    assert named == [None, None, "a.safetensors"]
    assert PlainBackbone(name="pixels").own_weights is None


def test_pixels_of_texts_are_refused_with_what_would_do(tmp_path):
    labels = np.array([0, 1])
    texts = make_dataset("t", Texts(("a", "b")), labels, Texts(("c", "d")), labels, "here")
    with pytest.raises(InputError, match="needs images, but t has texts; use backbone=minilm"):
        PlainBackbone(name="pixels").features(texts, torch.device("cpu"), tmp_path, Display(False))


@pytest.mark.parametrize("side", [8, 9, 28, 32])
@pytest.mark.parametrize("channels", [1, 3])
def test_cnn_takes_images_of_any_size(side, channels):
    network = initial_network(channels, 16, 5, np.random.default_rng(0))
    images = torch.zeros(3, channels, side, side)
    assert network(images).shape == (3, 5)
    assert network.body(images).shape == (3, 16)


def test_cnn_initialisation_depends_on_its_generator_alone():
    state = torch.get_rng_state()
    first, second = (initial_network(1, 8, 3, np.random.default_rng(5)) for _ in range(2))
    assert torch.equal(first.last.weight, second.last.weight)
    assert torch.equal(torch.get_rng_state(), state)


def test_cnn_learns():
    dataset, device, rng = digits("digits"), torch.device("cpu"), np.random.default_rng(0)
    settings = CnnBackbone(width=16)
    trainable = settings.trainable(dataset, 0.01, rng, device, Display(False))
    images, network = trainable.pool[:60], trainable.initial
    labels = torch.from_numpy(dataset.train_labels[:60])
    recipe = Recipe(0.01, 1e-4, 100, 64)
    train_network(network, lambda at: images[at], labels, recipe, trainable.learning_rate, rng)
    with torch.no_grad():
        assert (network(images).argmax(dim=1) == labels).double().mean() > 0.9


def test_errors_of_the_data_are_not_blamed_on_the_cache(tmp_path):
    class Failing(Extractor):
        name, identity, unit, chunk = "failing", "1", "rows", 4

        def features(self, instances):
            raise OSError(5, "Input/output error", "a.safetensors")

    dataset = vectors()
    with pytest.raises(
        InputError, match=r"^features of v by failing: a\.safetensors: cannot be read"
    ):
        extracted(Parts.of(dataset), Failing(), tmp_path, Display(enabled=False))
