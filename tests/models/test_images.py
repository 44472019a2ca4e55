import numpy as np
import pytest
import torch

from alupdate.models.images import ImageBackbone, ImageNetwork
from alupdate.models.networks import published_config
from alupdate.utils.errors import InputError
from tests.support.image_problems import few_images, saved_weights, small_network, some_digits

CPU = torch.device("cpu")
LITE = ImageBackbone(name="efficientnet_lite0", model="tf_efficientnet_lite0", image_size=64)


def test_pretrained_features_do_not_depend_on_their_neighbours():
    images, network = few_images().train, ImageNetwork(LITE, CPU)
    together = network.features(images)
    assert together.shape == (6, 1280)
    assert together.dtype == np.float32
    apart = np.concatenate([network.features(images.take(np.array([i]))) for i in range(6)])
    np.testing.assert_allclose(apart, together, rtol=1e-4, atol=1e-5)


def test_grey_images_have_the_features_of_their_colour_copies():
    grey = few_images(channels=1).train
    colour = type(grey)(grey.rows.repeat(3, axis=3))
    network = ImageNetwork(LITE, CPU)
    np.testing.assert_allclose(
        network.features(grey), network.features(colour), rtol=1e-4, atol=1e-5
    )


def test_pretrained_network_recognises_what_random_weights_do_not():
    """Features of the same digit are closer to each other than to other digits'."""
    dataset = some_digits(8, (0, 1, 7))
    whole = ImageBackbone(name="efficientnet_lite0", model="tf_efficientnet_lite0")
    pool = ImageNetwork(whole, CPU).features(dataset.train)
    pool = (pool - pool.mean(axis=0)) / (pool.std(axis=0) + 1e-6)
    similarity = pool @ pool.T
    np.fill_diagonal(similarity, -np.inf)
    nearest = dataset.train_labels[similarity.argmax(axis=1)]
    assert (nearest == dataset.train_labels).mean() > 0.8


@pytest.mark.parametrize(
    ("model", "size", "dimension"),
    [
        ("resnet18", 32, 512),
        ("resnet50", 32, 2048),
        ("vit_tiny_patch16_224", 32, 192),
        ("vit_small_patch14_dinov2.lvd142m", 28, 384),
        ("test_resnet", 32, 96),
    ],
)
def test_features_are_those_of_the_file_loaded_by_timm(model, size, dimension, tmp_path):
    """The peer is timm's own loading of the same file, and its own features."""
    import timm

    path = tmp_path / "net.safetensors"
    options = {"img_size": size} if published_config(model).fixed_input_size else {}
    saved_weights(path, model, **options)
    peer = timm.create_model(model, checkpoint_path=str(path), **options)
    peer.reset_classifier(0)
    network = ImageNetwork(small_network(model, size, weights=str(path)), CPU)
    images = few_images().train
    features = network.features(images)
    assert features.shape == (6, dimension)
    transform = timm.data.create_transform(
        **timm.data.resolve_data_config({"img_size": size}, model=peer), is_training=False
    )
    with torch.inference_mode():
        inputs = torch.stack([transform(pillow(image)) for image in images.rows])
        theirs = peer.eval()(inputs).numpy()
    assert np.abs(features - theirs).max() < 0.05 * np.abs(theirs).max()


def pillow(image):
    from PIL import Image

    return Image.fromarray(image)


def test_position_embeddings_are_resampled_to_the_image_size(tmp_path):
    path = tmp_path / "net.safetensors"
    tensors = saved_weights(path, "vit_tiny_patch16_224")
    network = ImageNetwork(small_network("vit_tiny_patch16_224", 48, weights=str(path)), CPU)
    resampled = network._network.pos_embed
    assert resampled.shape == (1, 1 + 3 * 3, 192)
    torch.testing.assert_close(resampled[:, 0], tensors["pos_embed"][:, 0])  # the class token's
    assert network.features(few_images().train).shape == (6, 192)


def test_random_weights_are_always_the_same_and_leave_the_global_generator_alone():
    images, state = few_images().train, torch.get_rng_state()
    first, second = (ImageNetwork(small_network("test_resnet"), CPU) for _ in range(2))
    np.testing.assert_array_equal(first.features(images), second.features(images))
    assert torch.equal(torch.get_rng_state(), state)


def test_identity_tells_weights_models_and_preprocessing_apart(tmp_path):
    one, same, other = (tmp_path / f"{name}.safetensors" for name in ("one", "same", "other"))
    saved_weights(one, "test_resnet")
    same.write_bytes(one.read_bytes())
    saved_weights(other, "test_resnet", num_classes=3)
    identities = [
        ImageNetwork(small_network(*settings, weights=str(weights)), CPU).identity
        for settings, weights in [
            (("test_resnet", 32), "random"),
            (("test_resnet", 64), "random"),
            (("test_vit", 32), "random"),
            (("test_resnet", 32), one),
            (("test_resnet", 32), other),
        ]
    ]
    assert len(set(identities)) == 5
    moved = ImageNetwork(small_network("test_resnet", weights=str(same)), CPU)
    assert moved.identity == identities[3]


def test_size_that_a_network_cannot_take_is_refused():
    network = ImageNetwork(small_network("test_convnext", 16), CPU)
    with pytest.raises(InputError, match="image_size=16: test_convnext does not take"):
        network.features(few_images().train)


@pytest.mark.parametrize(
    ("model", "complaint"),
    [
        ("resnet81", "no such model in timm .*did you mean resnet18"),
        ("resnet18.a9_in1k", "no such weights of resnet18; did you mean resnet18.a"),
        ("hf-hub:timm/resnet18", "no such model in timm"),
    ],
)
def test_unknown_model_is_named_with_its_neighbours(model, complaint):
    network = ImageNetwork(small_network(model), CPU)
    with pytest.raises(InputError, match=complaint):
        _ = network.identity
