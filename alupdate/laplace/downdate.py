"""Downdates: labels are taken out of a posterior again, as when one of them turns out to be wrong.

The covariances. An instance i adds w_i phi_i phi_i^T to a precision, whatever comes before or after
it. Taken out again, in any order, it leaves exactly the posterior of the others:

    (Sigma^-1 - w phi phi^T)^-1 = Sigma + w Sigma phi phi^T Sigma / (1 - w phi^T Sigma phi)

by Sherman and Morrison's identity [Hager1989] (``posterior.remainder`` has it for several). Only
the weight must be the one that it got: 1 with ``gaussian``; otherwise a curvature at the mean of
that moment, which no later posterior knows, and which ``UpdateResult.added_precision`` says.

The mean.

- ``map``. The update with b labels and step size gamma ends where (``alupdate.laplace.map``)

      w_c = w0_c + gamma Sigma0_c Phi^T (e_c - p_c),        p = softmax(Phi W^T)

  with p at the mean after it, which is known. So ``map_downdate`` takes the last update back
  exactly, but for the tolerance of its solution. Without an earlier label, or a part of an update,
  all other residuals would be different, too: there it is a step of Newton's method with the
  Hessian's class blocks, which goes about half of the way to the mode without the label (with three
  classes, in a test). That mode itself is the one of the remaining labels, solved again:
  ``map_update`` from the posterior before all of them.
- ``second_order`` and ``first_order`` step along the residual at the mean *before* the label, so
  that the mean depends on the order of the labels. Of the last update the mean before is
  ``mean - coefficients^T directions`` of its result; without an earlier label every later step
  would have been another one, and nothing but updating again with the others gives their mean.

A removal multiplies rounding errors of Sigma by up to 1 / (1 - w phi^T Sigma phi)^2: large where an
instance was nearly all that is known of a direction, w |phi|^2 >> lambda with fewer instances than
features. In float32, 1,000 random additions and removals of features with w |phi|^2 = 4 lambda end
within 1e-4 of recomputation, with 64 lambda within 1e-3. What float32 cannot tell from an
impossible removal is refused; float64 has 9 digits more.
"""

import torch
from torch import Tensor

from alupdate.laplace.inputs import check_positive, features_for, labels_for
from alupdate.laplace.posterior import LastLayerPosterior, Layer


def downdate(posterior: Layer, features: Tensor, weights: Tensor) -> Layer:
    """Return the posterior whose covariances have not observed b instances; the mean stays.

    Args:
        posterior: that has observed them; it is left as it is.
        features: (b, D), or (b, D - 1) where the last column of the weights is the bias; of the
            weights' type and device.
        weights: (b, K), what each added to the precisions: ``UpdateResult.added_precision``.

    Cost: O(K D^2 b); K matrices (D, D) are written out.

    Raises:
        ValueError: a precision would not be positive definite, as without an instance that was not
            observed, or an argument has the wrong type, shape or value.

    Example:
        >>> import torch
        >>> from alupdate.laplace.downdate import downdate
        >>> from alupdate.laplace.updates import fit, update_rule
        >>> before = fit(torch.eye(2), torch.eye(2))
        >>> new, label = torch.tensor([[1.0, 1.0]]), torch.tensor([0])
        >>> result = update_rule("second_order").update(before, new, label, gamma=1.0)
        >>> after = downdate(result.posterior, new, result.added_precision)
        >>> bool(torch.allclose(after.covariance_matrices(), before.covariance_matrices()))
        True
    """
    rows = features_for(posterior.mean, features)
    return posterior.downdated(posterior.mean, rows, _weights_for(posterior, rows, weights))


def map_downdate(
    posterior: Layer, features: Tensor, labels: Tensor, weights: Tensor, gamma: float = 1.0
) -> Layer:
    """Return the posterior without b labels of the MAP update, covariances and mean.

    The covariances are exact. The mean is exact for the labels of the last update, all of them, and
    one step of Newton's method for others: see the module.

    Args:
        posterior: after the update; it is left as it is.
        features: (b, D) or (b, D - 1), as in ``downdate``.
        labels: (b,), class indices.
        weights: (b, K), as in ``downdate``.
        gamma: step size of the update.

    Raises:
        ValueError: as by ``downdate``.

    Example:
        >>> import torch
        >>> from alupdate.laplace.downdate import map_downdate
        >>> from alupdate.laplace.updates import fit, update_rule
        >>> before = fit(torch.eye(2), torch.eye(2), likelihood="per_class")
        >>> new, label = torch.tensor([[1.0, 1.0]]), torch.tensor([0])
        >>> result = update_rule("map").update(before, new, label, gamma=1.0)
        >>> after = map_downdate(result.posterior, new, label, result.added_precision)
        >>> bool(torch.allclose(after.mean, before.mean, atol=1e-5))
        True
    """
    check_positive("gamma", gamma)
    rows = features_for(posterior.mean, features)
    targets = labels_for(rows, labels, len(posterior.mean))
    weighed = _weights_for(posterior, rows, weights)
    logits, projected = posterior.logits(rows), posterior.project(rows)
    chosen = torch.nn.functional.one_hot(targets, logits.shape[1]).to(logits.dtype)
    pulls = gamma * (chosen - torch.softmax(logits, dim=1)).T[:, :, None]
    # Phi Sigma0 = (I - G diag(w))^-1 Phi Sigma, with G = Phi Sigma Phi^T
    system = -weighed.T[:, :, None] * (projected @ rows.T)
    system.diagonal(dim1=1, dim2=2).add_(1)
    steps = torch.linalg.solve_ex(system, pulls).result
    return posterior.downdated(posterior.mean - (steps.mT @ projected)[:, 0], rows, weighed)


def _weights_for(posterior: LastLayerPosterior, rows: Tensor, weights: Tensor) -> Tensor:
    """Return weights (b, K) that go with rows (b, D).

    Raises:
        ValueError: they are not finite numbers of at least 0 of that shape, type and device.
    """
    kinds = len(posterior.project(rows[:1]))
    wanted = f"(b, K) = {(len(rows), kinds)}, a finite number of at least 0 for each instance"
    if not isinstance(weights, Tensor) or weights.shape != (len(rows), kinds):
        shape = tuple(weights.shape) if isinstance(weights, Tensor) else type(weights).__name__
        raise ValueError(f"weights are {shape}: they must be {wanted}, as added_precision is")
    if (weights.dtype, weights.device) != (rows.dtype, rows.device):
        raise ValueError(
            f"weights are {weights.dtype} on {weights.device}, and features {rows.dtype} on "
            f"{rows.device}: convert or move one"
        )
    if not bool(((weights >= 0) & weights.isfinite()).all()):
        raise ValueError(f"weights hold negative, NaN or infinite values: they must be {wanted}")
    return weights.detach()
