"""Section "update": each update against retraining on all labels, and the solvers themselves."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import product

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from alupdate.laplace.names import Likelihood
from alupdate.laplace.rules import UpdateResult
from alupdate.laplace.step_size import N_SPLITS
from alupdate.laplace.updates import laplace_posterior, update_rule
from alupdate.models.many_trainings import Heads, train_alone, train_heads
from alupdate.models.training import Recipe, optimal_linear
from benchmarks.arithmetic import recipe_arithmetic
from benchmarks.measure import CPU, Row, in_turn
from benchmarks.problems import WEIGHT_DECAY, Problem, make_problem

SECTION = "update"
PAPER_RECIPE = Recipe(learning_rate=0.01, weight_decay=WEIGHT_DECAY, epochs=200, minibatch=64)
RECIPE, OPTIMUM = "the paper's recipe", "L-BFGS to the optimum"
ARITHMETIC = "the arithmetic of its steps alone"
POINTS = 1000
"""Fresh instances at which predictions are compared."""


@dataclass(frozen=True)
class Update:
    """An update with the settings of its file in conf/update."""

    name: str
    likelihood: Likelihood
    gamma: float
    prior_precision: float

    def __str__(self) -> str:
        return f"{self.name} ({self.likelihood})"


UPDATES = (
    Update("first_order", "gaussian", 0.01, 1.0),
    Update("second_order", "gaussian", 10.0, 1.0),
    Update("second_order", "categorical", 10.0, 1.0),
    Update("map", "gaussian", 1.0, 1.0),
    Update("map", "per_class", 1.0, 0.3),
    Update("monte_carlo", "gaussian", 1.0, 100.0),
)


@dataclass(frozen=True)
class Case:
    """How many labels were there, how many are new, and the size of the layer."""

    initial: int
    new: int
    dimension: int
    classes: int

    def __str__(self) -> str:
        labels = f"{self.new} label{'s' if self.new > 1 else ''} after {self.initial:,}"
        return f"{labels}, D={self.dimension:,} C={self.classes}"


PAPER_SIZE = (384, 10)
SIZES = (PAPER_SIZE, (384, 77), (1280, 10), (1280, 77))
QUICK = tuple(Case(initial, 10, 384, 10) for initial in (10, 100, 1000))
FULL = tuple(
    Case(initial, new, *size)
    for size, initial, new in product(SIZES, (10, 100, 1000), (1, 10, 50))
    if new == 10 or initial < 1000 or size == PAPER_SIZE
)
"""All but 1 and 50 new labels after 1,000 in the larger layers. Retraining is what takes long
there, and it hardly differs between 1,001 and 1,050 labels."""


def rows(quick: bool, device: torch.device = CPU) -> Iterator[Row]:
    """Yield every update against both solvers, the solvers against each other, and many at once."""
    repeats = 5 if quick else 7
    for case in QUICK if quick else FULL:
        yield from case_rows(case, PAPER_RECIPE, repeats, device)
    for labels in (20, 100) if quick else (20, 100, 1000):
        yield together_row(labels, PAPER_RECIPE, repeats, device)


def case_rows(
    case: Case, recipe: Recipe, repeats: int, device: torch.device = CPU
) -> Iterator[Row]:
    """Yield the rows of one case; all of its steps take turns."""
    count = case.initial + case.new
    problem = make_problem(count, case.dimension, case.classes, device=device)
    updates = updates_of(problem, case)
    solvers = solvers_of(problem, case.classes, recipe)
    timings = in_turn([*updates, *solvers.values()], repeats, device)
    solver_timings = dict(zip(solvers, timings[len(updates) :], strict=True))
    solutions = {name: solve() for name, solve in solvers.items()}
    points = make_problem(POINTS, case.dimension, case.classes, 1, device).features
    for update, step, timing in zip(UPDATES, updates, timings, strict=False):
        updated = step().posterior.logits(points).argmax(dim=1)
        for name in (RECIPE, OPTIMUM):
            same = (updated == (points @ solutions[name].T).argmax(dim=1)).double().mean()
            agreement = f"same class at {same:.1%} of {POINTS:,} points"
            what, against = f"{update}, {case}", f"retraining, {name}"
            yield Row(SECTION, what, timing, against, solver_timings[name], agreement)
    optimum, trained = (
        objective(solutions[name], problem, recipe.weight_decay) for name in (OPTIMUM, RECIPE)
    )
    sizes = f"{count:,} labels, D={case.dimension:,} C={case.classes}"
    for name, against, agreement in (
        (OPTIMUM, RECIPE, f"objectives {optimum:.6f} and {trained:.6f}"),
        (RECIPE, ARITHMETIC, "as many steps; other minibatches, constant learning rate"),
    ):
        ours, other = solver_timings[name], solver_timings[against]
        yield Row(SECTION, f"retraining, {name}, {sizes}", ours, against, other, agreement)


def together_row(n_labels: int, recipe: Recipe, repeats: int, device: torch.device = CPU) -> Row:
    """Return the row of as many trainings as a step size is chosen by, at once and in turn."""
    dimension, classes = PAPER_SIZE
    problem = make_problem(2 * n_labels, dimension, classes, device=device)
    rng = np.random.default_rng(0)
    chosen = [rng.permutation(2 * n_labels)[:n_labels] for _ in range(N_SPLITS)]
    positions = torch.from_numpy(np.stack(chosen)).to(device)
    start = problem.features.new_zeros(classes, dimension + 1)
    heads = Heads(start, problem.features, problem.labels, positions)

    def together() -> Tensor:
        groups = heads.groups(recipe.minibatch)
        return torch.cat([train_heads(part, recipe, np.random.default_rng(0)) for part in groups])

    def in_turns() -> Tensor:
        data = problem.features, problem.labels
        each = [[part[places] for part in data] for places in positions]
        return torch.stack(
            [train_alone(start, *some, recipe, np.random.default_rng(0)) for some in each]
        )

    ours, other = in_turn([together, in_turns], repeats, device)
    difference = float((together() - in_turns()).abs().max())
    what = f"{N_SPLITS} retrainings at once, {n_labels:,} labels each, D={dimension} C={classes}"
    agreement = f"weights differ by at most {difference:.0e}"
    return Row(SECTION, what, ours, "one after the other", other, agreement)


def updates_of(problem: Problem, case: Case) -> list[Callable[[], UpdateResult]]:
    """Return each update of the model that is optimal on the first labels with the new ones."""
    features, labels = problem.features[: case.initial], problem.labels[: case.initial]
    weights = optimal_linear(features, labels, case.classes, WEIGHT_DECAY)
    return [
        partial(
            update_rule(update.name).apply,
            laplace_posterior(weights, features, update.likelihood, update.prior_precision),
            problem.features[case.initial :],
            problem.labels[case.initial :],
            update.gamma,
        )
        for update in UPDATES
    ]


def solvers_of(problem: Problem, classes: int, recipe: Recipe) -> dict[str, Callable[[], Tensor]]:
    """Return what retrains on all labels, and the bare arithmetic of the recipe."""
    features, labels = problem.features, problem.labels
    start = features.new_zeros(classes, features.shape[1])
    targets = functional.one_hot(labels, classes).to(start)
    return {
        RECIPE: lambda: train_alone(start, features, labels, recipe, np.random.default_rng(0)),
        OPTIMUM: lambda: optimal_linear(features, labels, classes, recipe.weight_decay),
        ARITHMETIC: recipe_arithmetic(start, features, targets, recipe),
    }


def objective(weights: Tensor, problem: Problem, weight_decay: float) -> float:
    """Return what retraining minimises: mean cross entropy and weight decay, in float64."""
    logits = problem.features.double() @ weights.double().T
    loss = functional.cross_entropy(logits, problem.labels)
    return float(loss + weight_decay / 2 * weights.double().square().sum())
