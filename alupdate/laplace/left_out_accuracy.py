"""Accuracy of a last layer on labels that it has not learnt: leave-one-out, in closed form.

The model has learnt every label, so that its accuracy on these says nothing. What it would predict
for an instance without its label takes no second training (``alupdate.laplace.temperature``): each
label is taken back by one step of Newton's method.

The labels are those that a strategy chose, not a random sample: strategies that choose hard
instances make the estimate too low.
"""

from torch import Tensor

from alupdate.laplace.temperature import logits_without_own_label


def left_out_hits(mean: Tensor, features: Tensor, labels: Tensor) -> Tensor | None:
    """Return whether each label is predicted by the last layer that has not learnt it, (N,).

    Args:
        mean: (C, D), the weights trained on all labels.
        features: (N, D), of the labelled instances, bias column included.
        labels: (N,), class indices.

    Returns:
        Booleans; None where ``logits_without_own_label`` has none.

    Cost: that of ``leave_one_out_logits``.

    Example:
        >>> import torch
        >>> features, labels = torch.tensor([[1.0], [1.0], [-1.0]]), torch.tensor([0, 0, 1])
        >>> left_out_hits(torch.tensor([[0.5], [-0.5]]), features, labels)
        tensor([True, True, True])
    """
    logits = logits_without_own_label(mean, features, labels)
    return None if logits is None else logits.argmax(dim=1) == labels


def left_out_accuracy(mean: Tensor, features: Tensor, labels: Tensor) -> float | None:
    """Return the share of ``left_out_hits``, or None where there are none."""
    hits = left_out_hits(mean, features, labels)
    return None if hits is None else hits.double().mean().item()
