"""Look-ahead as one would write it on top of PyTorch: a copy of the model per candidate batch."""

import copy

import torch
from torch import Tensor, nn
from torch.nn import functional

from alupdate.laplace.second_order import SecondOrder
from alupdate.strategies.base import Positions, Query
from alupdate.strategies.lookahead import require_oracle


class LaplaceLayer(nn.Module):
    """A linear layer with the covariance of its weights, which learns one label at a time."""

    covariance: Tensor

    def __init__(self, weights: Tensor, covariance: Tensor) -> None:
        """Start from weights (C, D), the bias among them, and a covariance (D, D)."""
        super().__init__()
        classes, dimension = weights.shape
        self.linear = nn.Linear(dimension, classes, bias=False)
        self.linear.weight = nn.Parameter(weights.clone())
        self.register_buffer("covariance", covariance.clone())

    def forward(self, features: Tensor) -> Tensor:
        """Return the logits (..., C) of features (..., D)."""
        logits: Tensor = self.linear(features)
        return logits

    @torch.no_grad()
    def learn(self, features: Tensor, label: Tensor, gamma: float) -> None:
        """Take one second-order step with an instance (D,) and its label, in place."""
        residual = -torch.softmax(self(features), dim=0)
        residual[label] += 1
        projected = self.covariance @ features
        shrunk = projected / (1 + features @ projected)
        self.covariance.addr_(projected, shrunk, alpha=-1)
        self.linear.weight.addr_(residual, shrunk, alpha=gamma)


@torch.no_grad()
def losses_of_copies(query: Query, batches: Positions) -> Tensor:
    """Return the oracle's mean loss (M,) after the update on each of batches (M, b)."""
    oracle = require_oracle(query)
    posterior = SecondOrder().shared(query.posterior)
    layer = LaplaceLayer(posterior.mean, posterior.covariance)
    losses = []
    for batch in batches:
        model = copy.deepcopy(layer)
        for place in batch:
            model.learn(query.features[place], oracle.candidate_labels[place], query.gamma)
        losses.append(functional.cross_entropy(model(oracle.features), oracle.labels))
    return torch.stack(losses)
