"""How often a piece of code would wait for a GPU, counted on the CPU.

A GPU works on what it is asked for while the program goes on. The program waits where it needs a
value: a number of a tensor, how many elements of a mask are true, an array for NumPy, or whether a
factorisation succeeded; and where it brings an array to the device.
"""

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from alupdate.laplace import tiles

ASKING = {
    "_linalg_check_errors",
    "_linalg_eigh",
    "_linalg_svd",
    "_local_scalar_dense",
    "_unique2",
    "bincount",
    "equal",
    "is_nonzero",
    "masked_select",
    "nonzero",
    "unique_consecutive",
    "unique_dim",
}
"""Operations whose results, or the sizes of these, depend on values."""

MASKED = {"index", "index_put", "index_put_", "_index_put_impl_"}
"""Operations that count the elements of a mask, if they are given one."""

TRANSFERS = {
    Tensor.numpy,
    Tensor.tolist,
    Tensor.cpu,
    Tensor.__array__,
    torch.tensor,
    torch.from_numpy,
}


class _Operations(TorchDispatchMode):
    def __init__(self, found: Counter[str]) -> None:
        super().__init__()
        self.found = found

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        if name in ASKING or (name in MASKED and _has_mask(name, *args)):
            self.found[name] += 1
        return func(*args, **(kwargs or {}))


def _has_mask(name: str, _: Tensor, indices: Any, value: Any = None, *__: Any) -> bool:
    """Whether an index is a mask; one number in its places needs no count."""
    masks = [i for i in indices if i is not None and i.dtype in (torch.bool, torch.uint8)]
    return bool(masks) and (name == "index" or value.numel() > 1)


class _Transfers(TorchFunctionMode):
    def __init__(self, found: Counter[str]) -> None:
        super().__init__()
        self.found = found

    def __torch_function__(self, func, types, args=(), kwargs=None):
        index = args[1] if func in (Tensor.__getitem__, Tensor.__setitem__) else None
        brought = index if isinstance(index, tuple) else (index,)
        if func in TRANSFERS or any(isinstance(i, list | np.ndarray) for i in brought):
            self.found[func.__name__] += 1
        return func(*args, **(kwargs or {}))


def waits(function: Callable[[], object], monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Return how often a call would wait for a GPU, by the operation; sizes are those of a GPU."""
    found = Counter[str]()
    with monkeypatch.context() as patch:
        as_on_a_gpu(patch)
        patch.setattr(torch, "from_numpy", _counted(torch.from_numpy, found))
        with _Transfers(found), _Operations(found):
            function()
    return found


def as_on_a_gpu(patch: pytest.MonkeyPatch) -> None:
    """Give the CPU the sizes of a GPU, and none of a GPU's small problems to the CPU."""
    patch.setattr(tiles, "ACCELERATORS", ("cpu", "cuda"))
    patch.setattr(tiles, "FEW_NUMBERS", 0)


def _counted(function: Callable[..., Tensor], found: Counter[str]) -> Callable[..., Tensor]:
    def counting(*args: Any) -> Tensor:
        found["from_numpy"] += 1
        return function(*args)

    return counting
