"""Time look-ahead and the update against plain alternatives, in one process, with equal threads.

usage: python scripts/benchmark.py [OUTPUT.csv] [--quick]

Every ratio is of medians over the same number of repeats, measured in turn after a warm-up.
Imports, data and warm-up are left out. --quick repeats less often.
"""

import platform
import resource
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from alupdate.config import BatchMix, LookaheadStrategy
from alupdate.laplace.posterior import Likelihood, Posterior, fit_posterior, with_bias
from alupdate.laplace.updates import UpdateName, fit, update_rule
from alupdate.strategies.candidate_batches import candidate_batches
from alupdate.strategies.lookahead import Lookahead
from alupdate.strategies.query import Oracle, Query
from alupdate.tasks.timing import median_seconds
from alupdate.training.lbfgs import optimal_linear
from alupdate.training.recipe import Recipe, train_linear

PAPER_RECIPE = Recipe(learning_rate=0.01, weight_decay=1e-4, epochs=200, minibatch=64)
CPU = torch.device("cpu")
N_NEW = 10
UPDATES: tuple[tuple[UpdateName, Likelihood], ...] = (
    ("first_order", "gaussian"),
    ("second_order", "gaussian"),
    ("second_order", "categorical"),
    ("map", "gaussian"),
    ("map", "multinomial"),
    ("monte_carlo", "gaussian"),
)


@dataclass(frozen=True)
class Task:
    """Features (N, D) with a bias column, and labels (N,), of a noisy linear problem."""

    features: Tensor
    labels: Tensor


def make_task(count: int, dimension: int, classes: int, seed: int = 0) -> Task:
    """Return a problem on which a linear layer is right most of the time."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(classes, size=count)
    centres = np.random.default_rng(99).normal(size=(classes, dimension))
    rows = rng.normal(size=(count, dimension)) + 0.3 * centres[labels]
    features = with_bias(torch.from_numpy(rows.astype(np.float32)))
    return Task(features, torch.from_numpy(labels))


def trained(task: Task, classes: int) -> Posterior:
    """Return the posterior of a layer trained on the task."""
    weights = optimal_linear(task.features, task.labels, classes, 1e-4)
    return fit_posterior(weights, task.features, "gaussian", 1.0)


def lookahead_rows(repeats: int) -> list[dict[str, object]]:
    """One look-ahead query: the dual form against a model copy per candidate batch."""
    classes, candidates, points = 10, 1000, 10_000
    posterior = trained(make_task(200, 384, classes), classes)
    pool, test = make_task(candidates, 384, classes, 1), make_task(points, 384, classes, 2)
    settings = LookaheadStrategy(name="lookahead", n_batches=300, mix=BatchMix())

    def query() -> Query:
        return Query(
            pool.features,
            posterior.logits(pool.features),
            posterior,
            torch.zeros(0, dtype=torch.int64),
            pool.features[:0],
            pool.labels[:0],
            1.0,
            np.random.default_rng(0),
            Oracle(pool.labels, test.features, test.labels),
        )

    def fast() -> list[int]:
        return [
            int(i) for i in Lookahead(settings, update_rule("second_order")).select(query(), 10)
        ]

    def naive() -> list[int]:
        batches = candidate_batches(query(), 10, settings.n_batches, settings.mix)
        losses = [_loss_of_copy(posterior, pool, batch, test) for batch in batches]
        return [int(i) for i in batches[int(np.argmin(losses))]]

    seconds = median_seconds(fast, CPU, repeats)
    memory = peak_memory()
    return [
        {
            "what": "look-ahead query, D=384 C=10 P=1,000 300x10 T=10,000",
            "against": "a model copy per candidate batch",
            "seconds": seconds,
            "other_seconds": median_seconds(naive, CPU, repeats),
            "peak_mib": memory,
            "same_answer": fast() == naive(),
        }
    ]


def _loss_of_copy(posterior: Posterior, pool: Task, batch: np.ndarray, test: Task) -> float:
    """Copy the model, update it instance by instance with full matrices, and evaluate it."""
    mean, covariance = posterior.mean.clone(), posterior.covariance.clone()
    for i in batch:
        row = pool.features[i]
        direction = covariance @ row
        covariance -= torch.outer(direction, direction) / (1 + row @ direction)
        error = -torch.softmax(mean @ row, dim=0)
        error[pool.labels[i]] += 1
        mean += torch.outer(error, covariance @ row)
    loss = torch.nn.functional.cross_entropy(test.features @ mean.T, test.labels)
    return loss.item()


def update_rows(repeats: int) -> list[dict[str, object]]:
    """Each update with ten labels against retraining on all labels, by both solvers."""
    rows: list[dict[str, object]] = []
    for initial in (10, 100, 1000):
        everything = make_task(initial + N_NEW, 384, 10)
        solvers = {
            name: median_seconds(solver, CPU, repeats)
            for name, solver in _solvers(everything, 10).items()
        }
        for update, seconds in _update_seconds(everything, initial, repeats).items():
            for solver, solver_seconds in solvers.items():
                rows.append(
                    {
                        "what": f"{update}, {N_NEW} labels after {initial}, D=384 C=10",
                        "against": f"retraining, {solver}",
                        "seconds": seconds,
                        "other_seconds": solver_seconds,
                        "peak_mib": peak_memory(),
                        "same_answer": None,
                    }
                )
    return rows


def _update_seconds(task: Task, initial: int, repeats: int) -> dict[str, float]:
    """Return the median seconds of each update with the labels after the first ``initial``."""
    weights = optimal_linear(task.features[:initial], task.labels[:initial], 10, 1e-4)
    seconds = {}
    for name, likelihood in UPDATES:
        posterior = fit(weights, task.features[:initial], likelihood, 1.0)
        step = partial(
            update_rule(name).update,
            posterior,
            task.features[initial:],
            task.labels[initial:],
            1.0,
        )
        seconds[f"{name} ({likelihood})"] = median_seconds(step, CPU, repeats)
    return seconds


def _solvers(task: Task, classes: int) -> dict[str, Callable[[], Tensor]]:
    start = torch.zeros(classes, task.features.shape[1])
    return {
        "paper's recipe": lambda: train_linear(
            start, task.features, task.labels, PAPER_RECIPE, np.random.default_rng(0)
        ),
        "L-BFGS to the optimum": lambda: optimal_linear(
            task.features, task.labels, classes, PAPER_RECIPE.weight_decay
        ),
    }


def peak_memory() -> float:
    """Return the process's peak resident memory so far, in MiB (the imports' share included)."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024**2 if sys.platform == "darwin" else 1024)


def processor() -> str:
    """Return the processor's name."""
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def main(arguments: list[str]) -> int:
    """Print the table, write it if a file is named, and return the exit code."""
    repeats = 5 if "--quick" in arguments else 15
    outputs = [argument for argument in arguments if argument != "--quick"]
    if len(outputs) > 1 or any(output.startswith("-") for output in outputs):
        print(__doc__, file=sys.stderr)
        return 2
    print(
        f"{processor()}, {torch.get_num_threads()} threads, torch {torch.__version__}, "
        f"numpy {np.__version__}; {peak_memory():.0f} MiB before the first measurement"
    )
    table = pd.DataFrame(lookahead_rows(repeats) + update_rows(repeats))
    table.insert(4, "ratio", table["other_seconds"] / table["seconds"])
    print(table.to_string(index=False, float_format=lambda value: f"{value:.4g}"))
    if outputs:
        table.to_csv(outputs[0], index=False, float_format="%.6g")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
