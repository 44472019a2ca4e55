"""A device whose tensors live in the CPU's memory but refuse to meet those of the CPU.

It stands in for a GPU where there is none: what would fail on a GPU because tensors are on two
devices fails here, too, and results are those of the CPU, bit for bit. Each operation takes some
20 microseconds more.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

_setup_privateuseone_for_python_backend("pretend")
# What saves the random state of every device there is must pass this one over, in all tests.
torch.pretend.device_count = lambda: 0  # type: ignore[attr-defined]
PRETEND = torch.device("pretend:0")
MIXED = {"copy_", "_to_copy"}
"""Operations between devices."""
INDEXED = {"index", "index_put", "index_put_", "_index_put_impl_"}
"""A tensor of any device may be indexed by one of the CPU."""


class PretendTensor(torch.Tensor):
    """A tensor on the device.

    Attributes:
        data_there: its numbers.
    """

    data_there: torch.Tensor

    @staticmethod
    def __new__(cls, data: torch.Tensor) -> "PretendTensor":
        tensor: PretendTensor = torch.Tensor._make_wrapper_subclass(
            cls,
            data.shape,
            strides=data.stride(),
            storage_offset=data.storage_offset(),
            dtype=data.dtype,
            device=PRETEND,
        )
        tensor.data_there = data
        return tensor

    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if function is torch.Tensor.numpy:
            if not kwargs.get("force"):
                raise TypeError("a tensor of the device has to be copied to the CPU first")
            return args[0].data_there.detach().clone().numpy()
        if function is torch.Tensor.tolist:
            return args[0].data_there.tolist()
        with torch._C.DisableTorchFunctionSubclass():
            return function(*args, **kwargs)

    @classmethod
    def __torch_dispatch__(cls, operation, types, args=(), kwargs=None):
        return _done(operation, args, kwargs or {})


@contextmanager
def pretend_device() -> Iterator[torch.device]:
    """Let tensors be made on the device, and moved there, within a block.

    Example:
        >>> with pretend_device() as device:
        ...     there = torch.ones(2, device=device) + 1
        ...     there.device, there.cpu()
        (device(type='pretend', index=0), tensor([2., 2.]))
    """
    with _Operations(), _Functions():
        yield PRETEND


class _Operations(TorchDispatchMode):
    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        return _done(operation, args, kwargs or {})


class _Functions(TorchFunctionMode):
    """Lists are copied to a device by code that knows real devices only; so they go another way."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if function is torch.tensor and kwargs.get("device") == PRETEND:
            return torch.tensor(*args, **kwargs | {"device": "cpu"}).to(PRETEND)
        if function in (torch.Tensor.__getitem__, torch.Tensor.__setitem__):
            tensor, index, *rest = args
            if isinstance(index, list):
                index = torch.tensor(index, dtype=torch.int64)
            args = (tensor, index, *rest)
        return function(*args, **kwargs)


def _done(operation: torch._ops.OpOverload, args: Any, kwargs: dict[str, Any]) -> Any:
    """Return an operation's result, on the device of its arguments or the one it names.

    Raises:
        RuntimeError: the arguments are on two devices.
    """
    tensors = [value for value in tree_leaves((args, kwargs)) if isinstance(value, torch.Tensor)]
    there = [tensor for tensor in tensors if isinstance(tensor, PretendTensor)]
    name, first = operation.overloadpacket.__name__, tensors[0] if tensors else None
    here = [value for value in tensors if not isinstance(value, PretendTensor) and value.ndim]
    indexes = name in INDEXED and isinstance(first, PretendTensor)
    if there and here and name not in MIXED and not indexes:
        raise RuntimeError(f"{name}: tensors on the CPU and on the device {PRETEND}")
    goes_there = bool(there)
    if name == "copy_":
        goes_there = isinstance(first, PretendTensor)
    elif kwargs.get("device") is not None:
        goes_there = torch.device(kwargs["device"]).type == PRETEND.type
        kwargs = kwargs | {"device": torch.device("cpu")}
    known = {id(tensor.data_there): tensor for tensor in there}

    def inner(value: Any) -> Any:
        return value.data_there if isinstance(value, PretendTensor) else value

    def outer(value: Any) -> Any:
        if not isinstance(value, torch.Tensor) or isinstance(value, PretendTensor):
            return value
        if id(value) in known:
            return known[id(value)]
        return PretendTensor(value) if goes_there else value

    given, named = tree_map(inner, (args, kwargs))
    result = operation(*given, **named)
    return tree_map(outer, result)
