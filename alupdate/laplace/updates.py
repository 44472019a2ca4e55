"""Fit a posterior around a trained last layer, and choose the rule that updates it.

The two functions with which an update starts: ``fit`` and ``update_rule``.
"""

from dataclasses import fields, replace

from torch import Tensor, nn

from alupdate.laplace.inputs import check_count, check_positive, features_for, weights_of
from alupdate.laplace.names import GAUSSIAN, LIKELIHOODS, PER_CLASS, Likelihood
from alupdate.laplace.per_class import fit_per_class
from alupdate.laplace.posterior import LastLayerPosterior, fit_posterior
from alupdate.laplace.rules import N_HYPOTHESES, UpdateRule, rule_classes


def fit(
    weights: Tensor | nn.Linear,
    features: Tensor,
    likelihood: Likelihood = GAUSSIAN,
    prior_precision: float = 1.0,
) -> LastLayerPosterior:
    """Return the Laplace posterior around a trained last layer [Daxberger2021] [Huseljic2025].

    The layer is not trained and not changed: its weights are the mean of the posterior.

    Args:
        weights: the layer, or its weights (C, D) in float32 or float64. The bias of a layer
            becomes the last column.
        features: (N, D), the inputs of the layer on the instances that it was trained on, of the
            weights' type and device. Where the weights have exactly one column more, the last is
            the bias, and the constant 1 is appended to the features.
        likelihood: curvature of an observation: ``gaussian`` (1), ``categorical``
            (pmax (1 - pmax)), both with one covariance for all classes, or ``per_class``
            (p_c (1 - p_c), one covariance for each class).
        prior_precision: of the weights, greater than 0.

    Returns:
        Independent Gaussians over the C weight vectors: ``predict(features)`` gives probabilities
        (N, C), ``mean`` the weights; ``update_rule`` updates it, ``select`` chooses what to label.

    Raises:
        ValueError: an argument has the wrong type, shape or value.

    Example:
        >>> import torch
        >>> from alupdate.laplace.updates import fit
        >>> head = torch.nn.Linear(3, 2)
        >>> features = torch.randn(20, 3)
        >>> posterior = fit(head, features, likelihood="per_class", prior_precision=0.3)
        >>> posterior.mean.shape
        torch.Size([2, 4])
        >>> bool(torch.allclose(posterior.predict(features), head(features).softmax(dim=1)))
        True
    """
    if likelihood not in LIKELIHOODS:
        raise ValueError(f"likelihood {likelihood!r}: it must be one of {', '.join(LIKELIHOODS)}")
    check_positive("prior_precision", prior_precision)
    mean = weights_of(weights)
    return laplace_posterior(mean, features_for(mean, features), likelihood, prior_precision)


def laplace_posterior(
    mean: Tensor, features: Tensor, likelihood: Likelihood, prior_precision: float
) -> LastLayerPosterior:
    """Return the posterior as ``fit`` does, for tensors that need no check.

    Args:
        mean: (C, D), the trained weights.
        features: (N, D), bias column included.
        likelihood: see ``fit``.
        prior_precision: lambda > 0.
    """
    if likelihood == PER_CLASS:
        return fit_per_class(mean, features, prior_precision)
    return fit_posterior(mean, features, likelihood, prior_precision)


def update_rule(name: str, seed: int = 0, n_hypotheses: int = N_HYPOTHESES) -> UpdateRule:
    """Return the update rule of that name, which learns new labels without training.

    Args:
        name: ``first_order``, ``second_order``, ``map``, ``monte_carlo``, or that of another rule
            in this package.
        seed: of rules that draw random numbers: of the hypotheses of ``monte_carlo``.
        n_hypotheses: how many hypotheses ``monte_carlo`` weights.

    Returns:
        A rule, whose ``update(posterior, features, labels, gamma)`` returns a result with the new
        ``posterior``; the old one stays as it is.

    Raises:
        ValueError: there is no rule of that name, or ``n_hypotheses`` is not a positive integer.

    Example:
        >>> import torch
        >>> from alupdate.laplace.updates import fit, update_rule
        >>> posterior = fit(torch.eye(2), torch.eye(2))
        >>> new_features, new_labels = torch.tensor([[1.0, 1.0]]), torch.tensor([0])
        >>> rule = update_rule("second_order")
        >>> result = rule.update(posterior, new_features, new_labels, gamma=10.0)
        >>> result.posterior.predict(new_features)
        tensor([[0.9933, 0.0067]])
        >>> update_rule("monte_carlo", n_hypotheses=100)
        MonteCarlo(seed=0, n_hypotheses=100)
        >>> rule.likelihoods
        ('gaussian', 'categorical')
    """
    check_count("n_hypotheses", n_hypotheses)
    rules = rule_classes()
    if name not in rules:
        raise ValueError(f"no update rule {name!r}: it must be one of {', '.join(rules)}")
    rule = rules[name]()
    wanted = {setting.name for setting in fields(rule)}
    settings = {"seed": seed, "n_hypotheses": n_hypotheses}
    return replace(rule, **{key: value for key, value in settings.items() if key in wanted})
