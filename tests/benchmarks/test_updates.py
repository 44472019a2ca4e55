import math

import pytest
import torch
from torch.nn.functional import one_hot

from alupdate.laplace.updates import fit
from alupdate.models.training import Recipe, optimal_linear
from benchmarks import updates
from benchmarks.arithmetic import recipe_arithmetic
from benchmarks.problems import make_problem
from benchmarks.updates import Case, case_rows, objective, solvers_of, together_row, updates_of
from tests.support.references import sequential_update

CASE = Case(initial=20, new=3, dimension=6, classes=3)
RECIPE = Recipe(learning_rate=0.01, weight_decay=1e-2, epochs=5, minibatch=8)


def problem_of(case):
    return make_problem(case.initial + case.new, case.dimension, case.classes)


@pytest.fixture(scope="module")
def rows():
    return list(case_rows(CASE, RECIPE, 1))


def test_every_update_meets_both_solvers_and_the_solvers_each_other(rows):
    assert len({(row.what, row.against) for row in rows}) == len(rows) == 6 * 2 + 2
    assert all(row.ours.seconds > 0 and row.other.seconds > 0 for row in rows)
    assert {row.section for row in rows} == {"update"}
    for update in updates.UPDATES:
        assert sum(row.what == f"{update}, 3 labels after 20, D=6 C=3" for row in rows) == 2


def test_trainings_at_once_are_those_one_after_the_other():
    row = together_row(6, RECIPE, 1)
    assert row.what == "16 retrainings at once, 6 labels each, D=384 C=10"
    assert float(row.agreement.split()[-1]) < 1e-6
    assert min(row.ours.seconds, row.other.seconds) > 0


def test_a_solver_is_measured_once_for_all_pairs(rows):
    for against in (f"retraining, {updates.RECIPE}", f"retraining, {updates.OPTIMUM}"):
        assert len({row.other.seconds for row in rows if row.against == against}) == 1


def test_updates_are_of_the_model_on_the_first_labels_with_the_new_ones():
    problem = problem_of(CASE)
    old, new = slice(None, CASE.initial), slice(CASE.initial, None)
    weights = optimal_linear(problem.features[old], problem.labels[old], 3, updates.WEIGHT_DECAY)
    posterior = fit(weights, problem.features[old], "gaussian", 1.0)
    mean, _ = sequential_update(
        posterior.mean.numpy(),
        posterior.covariance.numpy(),
        problem.features[new].numpy(),
        problem.labels[new].numpy(),
        10.0,
        "gaussian",
    )
    found = updates_of(problem, CASE)[1]().posterior.mean
    torch.testing.assert_close(found, torch.from_numpy(mean).float(), rtol=1e-4, atol=1e-4)


def test_the_optimum_has_the_smallest_objective_of_all_solvers():
    problem = problem_of(CASE)
    solvers = solvers_of(problem, CASE.classes, RECIPE)
    optimum, *others = (
        objective(solvers[name](), problem, RECIPE.weight_decay)
        for name in (updates.OPTIMUM, updates.RECIPE, updates.ARITHMETIC)
    )
    start = objective(torch.zeros(3, 7), problem, RECIPE.weight_decay)
    assert start == pytest.approx(math.log(3))
    assert all(optimum < other < start for other in others)


def test_the_objective_has_half_the_squared_weights():
    problem, weights = problem_of(CASE), torch.full((3, 7), 2.0)
    assert objective(weights, problem, 0.5) == pytest.approx(math.log(3) + 0.25 * 21 * 4)


def test_the_bare_arithmetic_takes_the_steps_of_the_library():
    problem, start = problem_of(CASE), torch.linspace(-1, 1, 21).reshape(3, 7)
    weights = start.clone().requires_grad_()
    optimiser = torch.optim.RAdam([weights], lr=0.01, weight_decay=1e-2)
    batches = list(zip(problem.features.split(8), problem.labels.split(8), strict=True))
    for rows, labels in batches * RECIPE.epochs:
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(rows @ weights.T, labels).backward()
        optimiser.step()
    untouched = start.clone()
    step = recipe_arithmetic(start, problem.features, one_hot(problem.labels, 3).float(), RECIPE)
    for _ in range(2):
        torch.testing.assert_close(step(), weights.detach(), rtol=1e-5, atol=1e-6)
    assert torch.equal(start, untouched)


def test_the_full_run_has_the_quick_cases_and_every_size():
    assert set(updates.QUICK) < set(updates.FULL)
    assert len(set(updates.FULL)) == len(updates.FULL) == 36 - 3 * 2
    for column, sizes in enumerate(({10, 100, 1000}, {1, 10, 50}, {384, 1280}, {10, 77})):
        names = ("initial", "new", "dimension", "classes")
        assert {getattr(case, names[column]) for case in updates.FULL} == sizes
