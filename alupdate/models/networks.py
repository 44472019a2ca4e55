"""The image networks that timm knows, and how one is built with given weights."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from alupdate.models.training import seeded
from alupdate.utils.errors import InputError, first_line, suggestion

COUNTER = "num_batches_tracked"
"""A statistic of batch normalisation that old files lack and nothing needs."""


def published_config(model: str) -> Any:
    """Return what timm has noted on a model's pretrained weights: where they lie, preprocessing.

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


def tensor_names(model: str) -> list[str]:
    """Return the names of a model's tensors, its classifier's included, in order."""
    import timm

    with seeded(0):
        return list(timm.create_model(model).state_dict())


def random_network(model: str, size: int, seed: int) -> nn.Module:
    """Return a network of pooled features with random weights; the global seed is untouched.

    Args:
        model: a name of timm.
        size: of the images, in pixels.
        seed: decides the weights.

    Raises:
        InputError: there is no such model, or it does not take images of this size.
    """
    with seeded(seed):
        return _create(model, size)


def loaded_network(model: str, size: int, tensors: Mapping[str, Tensor], source: str) -> nn.Module:
    """Return a network of pooled features with given weights.

    A classifier among the tensors is dropped; every other tensor must find its place. Position
    embeddings are resampled where the images are of another size than in training.

    Args:
        model: a name of timm.
        size: of the images, in pixels.
        tensors: the weights, by timm's names.
        source: how to call them in an error message, as in ``backbone.weights=FILE``.

    Raises:
        InputError: tensors are missing, left over, or of another shape.
    """
    heads = published_config(model).classifier or ()
    heads = (heads,) if isinstance(heads, str) else tuple(heads)
    kept = {k: v for k, v in tensors.items() if not k.startswith(tuple(f"{h}." for h in heads))}
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
