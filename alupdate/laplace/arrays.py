"""The same recursion on NumPy arrays and on tensors.

Steps that follow from each other on small arrays are fastest in NumPy, whose calls cost least; many
of them together are fastest as tensors where these are. A function of ``Functions`` and arrays is
both. Only ``places`` asks the device for values.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from alupdate.laplace.tiles import is_accelerator

Array = Any
"""A NumPy array or a tensor; what is done to it by operators is the same for both."""


@dataclass(frozen=True)
class Functions:
    """What is spelt differently for NumPy arrays and for tensors.

    Attributes:
        exp, log, sqrt, abs: element by element.
        copy, empty_like, ones_like, zeros_like: new arrays.
        eye: the identity (n, n) of an array's type.
        largest, total: along an axis, which stays.
        highest: of each of the arrays along the first axis; 0 of empty ones.
        places: of what is true in a vector.
        diagonal: a view (..., n) on matrices (..., n, n).
        cholesky, inverse, solve: of matrices (..., n, n). Where there is no answer, NumPy raises
            an error; tensors are then NaN or infinite, which their users look for at the end.
    """

    exp: Callable[[Array], Array]
    log: Callable[[Array], Array]
    sqrt: Callable[[Array], Array]
    abs: Callable[[Array], Array]
    copy: Callable[[Array], Array]
    empty_like: Callable[[Array], Array]
    ones_like: Callable[[Array], Array]
    zeros_like: Callable[[Array], Array]
    eye: Callable[[int, Array], Array]
    largest: Callable[[Array, int], Array]
    total: Callable[[Array, int], Array]
    highest: Callable[[Array], Array]
    places: Callable[[Array], Array]
    diagonal: Callable[[Array], Array]
    cholesky: Callable[[Array], Array]
    inverse: Callable[[Array], Array]
    solve: Callable[[Array, Array], Array]


NUMPY = Functions(
    exp=np.exp,
    log=np.log,
    sqrt=np.sqrt,
    abs=np.abs,
    copy=lambda array: array.copy(),
    empty_like=np.empty_like,
    ones_like=np.ones_like,
    zeros_like=np.zeros_like,
    eye=lambda count, array: np.eye(count, dtype=array.dtype),
    largest=lambda array, axis: np.maximum.reduce(array, axis=axis, keepdims=True),
    total=lambda array, axis: np.add.reduce(array, axis=axis, keepdims=True),
    highest=lambda array: array.max(axis=tuple(range(1, array.ndim)), initial=0.0),
    places=np.flatnonzero,
    diagonal=lambda array: np.einsum("...ii->...i", array),  # not read-only, as NumPy's own is
    cholesky=np.linalg.cholesky,
    inverse=np.linalg.inv,
    solve=np.linalg.solve,
)


def _cholesky(matrices: Tensor) -> Tensor:
    """Return the factors, of NaN where there is none."""
    factors, failed = torch.linalg.cholesky_ex(matrices)
    found: Tensor = factors.masked_fill_((failed != 0)[..., None, None], torch.nan)
    return found


TENSORS = Functions(
    exp=torch.exp,
    log=torch.log,
    sqrt=torch.sqrt,
    abs=torch.abs,
    copy=lambda array: array.clone(),
    empty_like=torch.empty_like,
    ones_like=torch.ones_like,
    zeros_like=torch.zeros_like,
    eye=lambda count, array: torch.eye(count, dtype=array.dtype, device=array.device),
    largest=lambda array, axis: array.amax(dim=axis, keepdim=True),
    total=lambda array, axis: array.sum(dim=axis, keepdim=True),
    highest=lambda array: (
        array.flatten(1).amax(dim=1) if array.numel() else array.new_zeros(len(array))
    ),
    places=lambda array: array.nonzero()[:, 0],
    diagonal=lambda array: array.diagonal(dim1=-2, dim2=-1),
    cholesky=_cholesky,
    inverse=lambda array: torch.linalg.inv_ex(array).inverse,
    solve=lambda array, right: torch.linalg.solve_ex(array, right).result,
)


def one_hot(labels: Tensor, classes: int, like: Tensor) -> Tensor:
    """Return rows (*, C) of 0 and 1, of the type of a tensor, for class indices (*)."""
    return torch.eye(classes, dtype=like.dtype, device=like.device)[labels]


def one_hot_on_host(labels: Tensor, classes: int, like: np.ndarray) -> np.ndarray:
    """Return what ``one_hot`` does, as a NumPy array."""
    rows: np.ndarray = np.eye(classes, dtype=like.dtype)[labels.numpy(force=True)]
    return rows


def on_host(*tensors: Tensor) -> tuple[np.ndarray, ...]:
    """Return NumPy arrays of tensors of one type; those on a GPU are waited for once."""
    first = tensors[0]
    if not is_accelerator(first.device) or len(tensors) == 1:
        return tuple(tensor.numpy(force=True) for tensor in tensors)
    flat = torch.cat([tensor.reshape(-1) for tensor in tensors]).numpy(force=True)
    parts = np.split(flat, np.cumsum([tensor.numel() for tensor in tensors])[:-1])
    return tuple(part.reshape(tensor.shape) for part, tensor in zip(parts, tensors, strict=True))


def uploaded(like: Tensor, *arrays: np.ndarray) -> tuple[Tensor, ...]:
    """Return tensors on a tensor's device of NumPy arrays of one type."""
    if like.device.type == "cpu":
        return tuple(torch.from_numpy(array) for array in arrays)
    flat = torch.from_numpy(np.concatenate([array.ravel() for array in arrays]))
    parts = torch.split(flat.to(like.device), [array.size for array in arrays])
    return tuple(part.view(array.shape) for part, array in zip(parts, arrays, strict=True))
