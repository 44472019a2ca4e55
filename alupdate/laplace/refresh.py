"""Keeping the variances of a whole pool up to date while its posterior takes in labels."""

import torch
from torch import Tensor

from alupdate.laplace.posterior import LastLayer


def variances_after(
    variances: Tensor, features: Tensor, before: LastLayer, rows: Tensor, added: Tensor
) -> Tensor:
    """Return phi^T Sigma'_k phi (P, K) of a pool after b instances were taken in.

    By Woodbury, with Y_k = Phi_b Sigma_k, G_k = Y_k Phi_b^T and S_k = diag(sqrt(w_k)),

        Sigma'_k = Sigma_k - H_k^T H_k,      H_k = (chol(I + S_k G_k S_k))^-1 S_k Y_k

    so each variance falls by the squared length of H_k phi: O(P K b D), where computing it anew
    would cost O(P K D^2).

    Args:
        variances: (P, K), before; they are left as they are.
        features: (P, D), of the pool.
        before: the posterior before the update.
        rows: (b, D), of the instances that were taken in.
        added: (b, K), the weights they got, from ``Updated.added_precision``.
    """
    projected = before.project(rows)
    roots = added.T.sqrt()
    gram = roots[:, :, None] * (projected @ rows.T) * roots[:, None, :]
    gram.diagonal(dim1=1, dim2=2).add_(1)
    scaled = roots[:, :, None] * projected
    half = torch.linalg.solve_triangular(torch.linalg.cholesky(gram), scaled, upper=False)
    falls = [(features @ block.T).square_().sum(dim=1) for block in half]
    return (variances - torch.stack(falls, dim=1)).clamp_(min=0)
