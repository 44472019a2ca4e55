"""Small tables in the form of curve.csv and updates.csv."""

import math

import numpy as np
import pandas as pd

from alupdate.utils.metrics import LATER_METRICS


def curves(heights, dataset="d"):
    """Curves of strategy -> list of runs, each a list of accuracies at 10, 20, 30 ... labels.

    A key may also be (strategy, batch).
    """
    rows = [
        {
            "run": f"{dataset}-{key}-{seed}", "dataset": dataset, "backbone": "b",
            "strategy": key if isinstance(key, str) else key[0],
            "batch": "top_b" if isinstance(key, str) else key[1],
            "update": "retrain", "seed": seed, "cycle": cycle, "n_labelled": 10 * (cycle + 1),
            "accuracy": accuracy, "nll": 1 - accuracy, "brier": 1 - accuracy, "ece": 0.1,
            "ace": 0.1, "oracle": "lookahead" in key, **dict.fromkeys(LATER_METRICS, accuracy),
        }
        for key, runs in heights.items()
        for seed, run in enumerate(runs)
        for cycle, accuracy in enumerate(run)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def random_curves(seed=0, strategies=("random", "margin", "lookahead"), n_seeds=7, cycles=5):
    """Rising curves with noise; strategies differ, and runs of one seed start alike."""
    rng = np.random.default_rng(seed)
    start = rng.uniform(0.2, 0.3, n_seeds)
    heights = {}
    for place, strategy in enumerate(strategies):
        rise = 0.08 + 0.02 * place + 0.02 * rng.normal(size=(n_seeds, cycles))
        runs = np.column_stack([start, start[:, None] + np.cumsum(rise, axis=1)])
        heights[strategy] = runs.tolist()
    return curves(heights)


def study():
    """Two seeds, two cells; base .5, retrain .7 and .9; an update at two step sizes."""
    rows = []
    for seed in (0, 1):
        for n_new, retrain in ((1, 0.7), (10, 0.9)):
            results = [
                ("base", "", math.nan, 0.5, 0.0),
                ("retrain", "", math.nan, retrain, 1.0),
                ("retrain_lbfgs", "", math.nan, retrain, 0.5),
                ("map", "per_class", 1.0, 0.5 + (retrain - 0.5) * (0.5 + 0.5 * seed), 0.01),
                ("map", "per_class", 10.0, 0.49 if n_new == 1 else 0.6, 0.01),
            ]
            for method, likelihood, gamma, accuracy, seconds in results:
                rows.append(
                    {
                        "run": f"run-{seed}", "dataset": "d", "backbone": "b", "seed": seed,
                        "n_initial": 10, "n_new": n_new, "method": method,
                        "likelihood": likelihood, "prior_precision": 0.3, "gamma": gamma,
                        "step_size": "fixed" if likelihood else "", "accuracy": accuracy,
                        "seconds": seconds, "speedup": 1 / seconds if seconds else math.inf,
                    }
                )  # fmt: skip
    return pd.DataFrame(rows)
