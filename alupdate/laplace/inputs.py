"""Checks of the tensors that users pass, and the constant feature of a bias.

Everything that is refused is refused with a ``ValueError`` of one sentence. Loops inside the
package have checked their tensors once, and call none of this.
"""

import math

import numpy as np
import torch
from torch import Tensor, nn

FLOATS = (torch.float32, torch.float64)
INTEGERS = (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8)
LARGEST_VALUE = 1e15
"""Larger features and weights are refused: their squares times a few more factors leave 32 bits."""


def with_bias(features: Tensor) -> Tensor:
    """Append the constant 1 to features (N, D), so that the bias is one more weight.

    ``fit``, ``select``, ``predict`` and ``update`` do so by themselves; ``Query.of`` does not.

    Raises:
        ValueError: the features are no tensor of that shape.

    Example:
        >>> import torch
        >>> from alupdate.laplace.inputs import with_bias
        >>> with_bias(torch.tensor([[0.5, 2.0]]))
        tensor([[0.5000, 2.0000, 1.0000]])
    """
    if not isinstance(features, Tensor) or features.ndim != 2:
        found = tuple(features.shape) if isinstance(features, Tensor) else type(features).__name__
        raise ValueError(f"features are {found}: they must be a tensor (N, D)")
    return torch.cat([features, features.new_ones(len(features), 1)], dim=1)


def completed(features: Tensor, columns: int) -> Tensor:
    """Return features (N, columns), the constant 1 appended where exactly one column is missing.

    Raises:
        ValueError: the features have another shape.
    """
    if features.ndim == 2 and features.shape[1] == columns:
        return features
    if features.ndim == 2 and features.shape[1] == columns - 1:
        return with_bias(features)
    raise ValueError(
        f"features have shape {tuple(features.shape)}, but the weights have {columns} columns: "
        f"features must be (N, {columns}), or (N, {columns - 1}) where the last column of the "
        "weights is the bias"
    )


def weights_of(layer: Tensor | nn.Linear) -> Tensor:
    """Return the weights (C, D) of a last layer, its bias as the last column.

    Raises:
        ValueError: not a matrix of floats within LARGEST_VALUE with at least two rows.
    """
    if isinstance(layer, nn.Module) and not isinstance(layer, nn.Linear):
        raise ValueError(f"weights are {type(layer).__name__}: give the last layer, an nn.Linear")
    weights: Tensor = layer.weight if isinstance(layer, nn.Linear) else layer
    if isinstance(layer, nn.Linear) and layer.bias is not None:
        weights = torch.cat([weights, layer.bias[:, None]], dim=1)
    matrix = _matrix(weights, "weights")
    if len(matrix) < 2:
        raise ValueError(
            "weights have a single row: they must be (C, D) with one row for each of at least two "
            "classes; for a head with one output w, stack -w/2 and w/2"
        )
    check_size(matrix, "weights")
    return matrix


def features_for(weights: Tensor, features: Tensor) -> Tensor:
    """Return features (N, D) that go with weights (C, D), the constant 1 appended if need be.

    Raises:
        ValueError: not a matrix of floats within LARGEST_VALUE of the weights' type, device and
            columns.
    """
    rows = _matrix(features, "features")
    if rows.dtype != weights.dtype:
        raise ValueError(
            f"features are {_name(rows.dtype)} and weights {_name(weights.dtype)}: convert one"
        )
    if rows.device != weights.device:
        raise ValueError(f"features are on {rows.device} and weights on {weights.device}: move one")
    check_size(rows, "features")
    return completed(rows, weights.shape[1])


def labels_for(features: Tensor, labels: Tensor, classes: int) -> Tensor:
    """Return labels (N,) of features (N, D) as int64.

    Raises:
        ValueError: not one integer from 0 to C - 1 for each row, on the same device.
    """
    wanted = f"one integer from 0 to {classes - 1} for each of the {len(features)} rows of features"
    if not isinstance(labels, Tensor) or labels.dtype not in INTEGERS:
        kind = _name(labels.dtype) if isinstance(labels, Tensor) else type(labels).__name__
        raise ValueError(f"labels are {kind}: they must be a tensor of {wanted}")
    if labels.shape != (len(features),):
        raise ValueError(f"labels have shape {tuple(labels.shape)}: they must hold {wanted}")
    if labels.device != features.device:
        raise ValueError(
            f"labels are on {labels.device} and features on {features.device}: move one"
        )
    wrong = ((labels < 0) | (labels >= classes)).nonzero()[:, 0]
    if len(wrong):
        row = int(wrong[0])
        raise ValueError(f"label {int(labels[row])} in row {row}: labels must hold {wanted}")
    return labels.to(torch.int64)


def check_positive(name: str, value: float) -> None:
    """Refuse what is not a finite number above 0; NumPy's numbers are numbers.

    Raises:
        ValueError: as above.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | np.floating | np.integer):
        raise ValueError(f"{name} is {value!r}: it must be a number greater than 0")
    if not 0 < value < math.inf:
        raise ValueError(f"{name} is {value}: it must be a finite number greater than 0")


def check_count(name: str, value: int) -> None:
    """Refuse what is not an integer of at least 1; NumPy's integers are integers.

    Raises:
        ValueError: as above.
    """
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise ValueError(f"{name} is {value!r}: it must be an integer of at least 1")


def _matrix(values: Tensor, name: str) -> Tensor:
    """Return a matrix of floats, without its gradient."""
    if not isinstance(values, Tensor):
        raise ValueError(f"{name} are {type(values).__name__}: they must be a tensor (rows, D)")
    if values.dtype not in FLOATS:
        raise ValueError(f"{name} are {_name(values.dtype)}: they must be float32 or float64")
    if values.layout != torch.strided:
        raise ValueError(f"{name} are sparse: they must be a dense tensor, as by to_dense()")
    if values.ndim != 2 or 0 in values.shape:
        raise ValueError(
            f"{name} have shape {tuple(values.shape)}: they must be a matrix that is not empty"
        )
    return values.detach()


def check_size(matrix: Tensor, name: str) -> None:
    """Refuse values that are NaN, infinite or so large that arithmetic on them overflows.

    A large matrix is not copied for it.

    Raises:
        ValueError: as above.
    """
    low, high = torch.aminmax(matrix)  # NaN if any value is
    if bool((low >= -LARGEST_VALUE) & (high <= LARGEST_VALUE)):
        return
    allowed, problem = torch.isfinite(matrix), "NaN or infinite values"
    if allowed.all():
        allowed, problem = matrix.abs() <= LARGEST_VALUE, f"values beyond {LARGEST_VALUE:g}"
    row = int((~allowed.all(dim=1)).nonzero()[0])
    raise ValueError(f"{name} hold {problem}, first in row {row}")


def _name(kind: torch.dtype) -> str:
    return str(kind).removeprefix("torch.")
