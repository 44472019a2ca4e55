"""Draw what each update does to a decision surface in two dimensions.

usage: python scripts/illustration.py OUTPUT_DIRECTORY

Two moons, a base model on a few labels, and four clusters of new points. The model is linear on
random Fourier features of the plane (Rahimi and Recht 2007), which stand for a network's features.
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from sklearn.datasets import make_moons
from torch import Tensor

from alupdate.analysis.illustration import decision_surfaces
from alupdate.laplace.monte_carlo import MonteCarloUpdate
from alupdate.laplace.names import Likelihood
from alupdate.laplace.updates import fit, update_rule
from alupdate.models.training import optimal_linear
from alupdate.utils.errors import DONE, WRONG_INPUT
from alupdate.utils.files import replace_file

N_FEATURES, LENGTH_SCALE, N_BASE, N_NEW = 300, 0.6, 20, 5
WEIGHT_DECAY = 1e-3
CLUSTERS = {(-0.9, -0.9): 0, (0.5, 1.4): 1, (2.4, 1.0): 1, (1.0, -1.3): 0}
"""Centre and label of the new points: they contradict what the base model would say."""

UPDATES: dict[str, tuple[str, Likelihood, float, float]] = {
    "first-order": ("first_order", "gaussian", 1.0, 3.0),
    "Monte-Carlo": ("monte_carlo", "gaussian", 1.0, 1.0),
    "second-order": ("second_order", "gaussian", 1.0, 10.0),
    "MAP": ("map", "gaussian", 1.0, 10.0),
}
"""Panel: update, likelihood, prior precision, gamma."""


def fourier_features(points: NDArray[np.float64]) -> Tensor:
    """Return features (N, D) of points (N, 2) that approximate a Gaussian kernel."""
    rng = np.random.default_rng(0)
    frequencies = rng.normal(size=(2, N_FEATURES)) / LENGTH_SCALE
    phases = rng.uniform(0, 2 * np.pi, N_FEATURES)
    return torch.from_numpy(np.cos(points @ frequencies + phases) * np.sqrt(20 / N_FEATURES))


def new_points() -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the points (b, 2) of the four clusters and their labels (b,)."""
    rng = np.random.default_rng(1)
    clouds = [centre + 0.12 * rng.normal(size=(N_NEW, 2)) for centre in CLUSTERS]
    return np.concatenate(clouds), np.repeat(list(CLUSTERS.values()), N_NEW)


def surfaces() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return probabilities on a grid (panel, x, y, probability) and points (x, y, label, new)."""
    old, old_labels = make_moons(N_BASE, noise=0.1, random_state=3)
    new, new_labels = new_points()
    x, y = np.meshgrid(np.linspace(-1.9, 3.1, 121), np.linspace(-2.0, 2.2, 101))
    grid = np.column_stack([x.ravel(), y.ravel()])
    features = fourier_features(grid)
    panels = {
        "before": torch.softmax(features @ _trained(old, old_labels).T, dim=1),
        **{name: _updated(name, old, old_labels, features) for name in UPDATES},
    }
    everything = np.concatenate([old, new]), np.concatenate([old_labels, new_labels])
    panels["retrained"] = torch.softmax(features @ _trained(*everything).T, dim=1)
    table = pd.concat(
        pd.DataFrame({"panel": name, "x": grid[:, 0], "y": grid[:, 1], "probability": p[:, 1]})
        for name, p in panels.items()
    )
    points = pd.DataFrame(everything[0], columns=["x", "y"])
    return table, points.assign(label=everything[1], new=[False] * N_BASE + [True] * len(new))


def _trained(points: NDArray[np.float64], labels: NDArray[np.int64]) -> Tensor:
    return optimal_linear(fourier_features(points), torch.from_numpy(labels), 2, WEIGHT_DECAY)


def _updated(
    name: str, old: NDArray[np.float64], labels: NDArray[np.int64], features: Tensor
) -> Tensor:
    """Return the probabilities (T, 2) at grid features (T, D) after one of the updates."""
    rule_name, likelihood, prior_precision, gamma = UPDATES[name]
    rows = fourier_features(old)
    weights = _trained(old, labels)
    posterior = fit(weights, rows, likelihood, prior_precision)
    new, new_labels = new_points()
    update = update_rule(rule_name).update
    updated = update(posterior, fourier_features(new), torch.from_numpy(new_labels), gamma)
    if isinstance(updated, MonteCarloUpdate):
        return updated.predict(features)
    return torch.softmax(updated.posterior.logits(features), dim=1)


def main(arguments: list[str]) -> int:
    """Write the figure and the data behind it, and return the exit code."""
    if len(arguments) != 1 or arguments[0].startswith("-"):
        print(__doc__, file=sys.stderr)
        return WRONG_INPUT
    folder = Path(arguments[0])
    folder.mkdir(parents=True, exist_ok=True)
    table, points = surfaces()
    figure = decision_surfaces(table, points)
    for ending in ("png", "pdf"):
        figure.savefig(folder / f"illustration.{ending}", dpi=150)
    replace_file(folder / "illustration.csv", table.to_csv(index=False, float_format="%.4g"))
    print(folder / "illustration.png")
    return DONE


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
