"""The machine's own limit: the floating-point work of a step alone, on arrays made beforehand."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from alupdate.laplace.losses import GROUP_NUMBERS
from alupdate.models.training import BETA1, BETA2, EPSILON, Recipe, rectified_step
from benchmarks.measure import Step


def lookahead_arithmetic(
    features: Tensor, covariance: Tensor, points: Tensor, coefficients: Tensor
) -> Step:
    """Return the products and exponentials that one look-ahead query cannot do without.

    The members' features with the covariance, the result with the evaluation points, then per
    batch the coefficients with b rows of the kernel, and the exponential of every logit. Logits
    are worked on in pieces that stay in the processor's cache. Nothing is drawn, gathered, summed
    or compared, so there is no answer.

    Args:
        features: (R, D), of the members of the batches.
        covariance: (D, D).
        points: (T, D), of the evaluation set.
        coefficients: (M, C, b), small: exponentials that overflow take longer.
    """
    members, (_, classes, size) = len(features), coefficients.shape
    directions = torch.empty_like(features)
    kernel = features.new_empty(members, len(points))
    pieces = torch.split(kernel, max(1, GROUP_NUMBERS // classes), dim=1)
    logits = [features.new_empty(classes, piece.shape[1]) for piece in pieces[:1] + pieces[-1:]]

    def step() -> None:
        torch.mm(features, covariance, out=directions)
        torch.mm(directions, points.T, out=kernel)
        for number, weights in enumerate(coefficients):
            start = number * size % (members - size + 1)
            for piece in pieces:
                out = logits[0] if piece.shape[1] == logits[0].shape[1] else logits[1]
                torch.mm(weights, piece[start : start + size], out=out).exp_()

    return step


def recipe_arithmetic(
    start: Tensor, features: Tensor, targets: Tensor, recipe: Recipe
) -> Callable[[], Tensor]:
    """Return the recipe's steps on a linear layer without anything around them.

    Per step two products, a softmax and the element-wise operations of RAdam, on arrays made
    beforehand and laid out as they are fastest, with the classes as rows. Nothing is shuffled,
    gathered or scheduled: the minibatches are slices, the same in every epoch, and the factors of
    the steps are known.

    Args:
        start: (C, D), left as it is.
        features: (N, D).
        targets: (N, C), the labels as rows of 0 and 1.
        recipe: the settings; the learning rate stays the same.
    """
    gradient, mean, square, scratch = (torch.empty_like(start) for _ in range(4))
    weights = torch.empty_like(start)
    split = partial(torch.split, split_size_or_sections=recipe.minibatch)
    columns = [rows.T.contiguous() for rows in split(targets)]
    batches = [
        (rows, wanted, torch.empty_like(wanted), torch.empty_like(wanted))
        for rows, wanted in zip(split(features), columns, strict=True)
    ]
    count = recipe.epochs * len(batches)
    sizes = [rectified_step(number, recipe.learning_rate) for number in range(1, count + 1)]

    def step() -> Tensor:
        weights.copy_(start)
        mean.zero_()
        square.zero_()
        for (rows, wanted, logits, errors), (rectified, size) in zip(
            batches * recipe.epochs, sizes, strict=True
        ):
            torch.mm(weights, rows.T, out=logits)
            torch.softmax(logits, dim=0, out=errors).sub_(wanted)
            torch.addmm(
                weights, errors, rows, beta=recipe.weight_decay, alpha=1 / len(rows), out=gradient
            )
            mean.lerp_(gradient, 1 - BETA1)
            square.mul_(BETA2).addcmul_(gradient, gradient, value=1 - BETA2)
            if rectified:
                torch.sqrt(square, out=scratch).add_(EPSILON)
                weights.addcdiv_(mean, scratch, value=-size)
            else:
                weights.add_(mean, alpha=-size)
        return weights

    return step
