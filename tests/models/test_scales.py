"""Features whose columns differ in size."""

import numpy as np
import pandas as pd
import pytest
import torch

from alupdate.data.arrays import mnist5k
from alupdate.data.feature_cache import Features
from alupdate.laplace.inputs import LARGEST_VALUE
from alupdate.models.features import Parts
from alupdate.models.plain import flatten
from alupdate.models.scales import check_scales, standardise
from alupdate.models.training import _whitened_optimum, optimal_linear, whitening
from alupdate.utils.errors import InputError
from tests.support.runs import run_command

RNG = np.random.default_rng(0)
LABELS = RNG.integers(2, size=200)
INFORMATIVE = LABELS[:, None] * 2.0 + RNG.normal(size=(200, 3)) * 0.3
BESIDE = {
    "nothing": np.zeros((200, 0)),
    "a price": RNG.uniform(1e6, 9e6, (200, 1)),
    "a time stamp": 1.7e9 + RNG.uniform(0, 3e7, (200, 1)),
    "a constant": np.full((200, 1), 1e12),
    "a huge column": RNG.normal(size=(200, 1)) * 1e30,
}


def table(columns, scale=1.0):
    rows = np.hstack([INFORMATIVE * scale, columns]).astype(np.float32)
    return Features(rows[:150], rows[150:])


@pytest.mark.parametrize("beside", BESIDE)
@pytest.mark.parametrize("scale", [1.0, 1e-9, 1e-25, 1e20])
def test_small_columns_survive_beside_large_ones(beside, scale):
    features = standardise(table(BESIDE[beside], scale))
    expected = (INFORMATIVE - INFORMATIVE[:150].mean(0)) / INFORMATIVE[:150].std(0)
    np.testing.assert_allclose(features.pool[:, :3], expected[:150], atol=1e-4)
    np.testing.assert_allclose(features.test[:, :3], expected[150:], atol=1e-4)
    assert features.notes == ()


def test_standardised_images_are_what_they_were():
    """The formula of before, where it was right: bit for bit."""
    raw = Features(*flatten(Parts.of(mnist5k()), "pixels"))
    mean, deviation = (f(raw.pool, axis=0, dtype=np.float64) for f in (np.mean, np.std))
    scale = np.where(deviation > 1e-3, 1 / np.where(deviation > 1e-3, deviation, 1), 0)
    expected = (raw.test - mean.astype(np.float32)) * scale.astype(np.float32)
    np.testing.assert_array_equal(standardise(raw).test, expected)


def test_what_varies_less_than_rounding_vanishes_and_is_named():
    hour = 1.7e9 + np.linspace(0, 3600, 200)[:, None]
    features = standardise(table(hour), ("a", "b", "c", "time"))
    assert not features.pool[:, 3].any()
    (note,) = features.notes
    assert note.startswith("features time: vary by less than a millionth of their mean")


def test_a_pool_without_variation_is_named():
    constant = np.ones((4, 3), np.float32)
    assert standardise(Features(constant, constant)).notes == (
        "no feature varies on the pool: there is nothing to learn",
    )


def test_a_test_instance_out_of_reach_is_refused():
    pool = np.array([[0.0], [1e-30]], np.float32)
    with pytest.raises(InputError, match="feature x: row 1 of the test set is too far"):
        standardise(Features(pool, np.array([[0.0], [1e30]], np.float32)), ("x",))


def test_features_that_are_used_as_they_are_are_compared():
    names = ("a", "b", "c", "price")
    (note,) = check_scales(table(BESIDE["a price"]), names).notes
    assert note.startswith("features differ in size: price (6e+06) beside ")
    assert note.endswith("use backbone.standardise=true")
    (note,) = check_scales(table(BESIDE["nothing"], 1e-9)).notes
    assert note.startswith("features are of size 1e-09 to 2e-09")
    assert check_scales(table(BESIDE["nothing"])).notes == ()
    with pytest.raises(InputError, match="feature price: has values beyond 1e"):
        check_scales(table(np.full((200, 1), 10 * LARGEST_VALUE)), names)


def newton(rows, labels, weight_decay):
    """Minimise the objective for two classes by Newton's method: a slow reference.

    At the optimum the weights of the classes are w/2 and -w/2, which leaves w, in columns of size
    1, with the penalty weight_decay / 4 w^2 of the unscaled one.
    """
    sizes = np.sqrt((rows**2).mean(0))
    rows, penalty = rows / sizes, weight_decay / 2 / sizes**2
    signs, weights = 2.0 * labels - 1, np.zeros(len(sizes))

    def value(weights):
        losses = np.logaddexp(0, -signs * (rows @ weights))
        return losses.mean() + (penalty * weights**2).sum() / 2

    for _ in range(100):
        p = 1 / (1 + np.exp(signs * (rows @ weights)))
        gradient = -(signs * p) @ rows / len(rows) + penalty * weights
        hessian = (rows.T * (p * (1 - p))) @ rows / len(rows) + np.diag(penalty)
        step = np.linalg.lstsq(hessian, gradient, rcond=1e-15)[0]
        while value(weights - step) > value(weights) and np.abs(step).max() > 1e-12:
            step /= 2
        weights = weights - step
    return np.stack([-weights, weights]) / 2 / sizes


@pytest.mark.parametrize("beside", ["nothing", "a price", "a time stamp"])
def test_exact_solver_finds_the_optimum_of_the_unscaled_objective(beside):
    rows = np.hstack([INFORMATIVE, BESIDE[beside], np.ones((200, 1))])
    weights = optimal_linear(torch.from_numpy(rows), torch.from_numpy(LABELS), 2, 0.01)
    expected = newton(rows, LABELS, 0.01)
    np.testing.assert_allclose(rows @ weights.numpy().T, rows @ expected.T, atol=1e-3)
    np.testing.assert_allclose(weights.numpy(), expected, rtol=1e-3, atol=1e-9)


def test_whitened_columns_give_the_optimum_of_the_plain_ones():
    rows = torch.from_numpy(np.hstack([INFORMATIVE, np.ones((200, 1))]))
    targets = torch.nn.functional.one_hot(torch.from_numpy(LABELS), 2).T.double()
    plain = optimal_linear(rows, torch.from_numpy(LABELS), 2, 0.01)
    torch.testing.assert_close(_whitened_optimum(rows, targets, 0.01), plain, atol=1e-4, rtol=1e-4)
    transform = whitening(rows, 0.01)
    curvature = rows.T @ rows / len(rows) + 0.01 * torch.eye(4)
    torch.testing.assert_close(transform @ curvature @ transform.T, torch.eye(4).double())


def test_describe_probes_a_table_that_is_not_standardised(monkeypatch, tmp_path, capsys):
    columns = dict(zip("abc", INFORMATIVE.T, strict=True))
    frame = pd.DataFrame(columns | {"price": BESIDE["a price"][:, 0], "label": LABELS})
    frame.to_parquet(tmp_path / "t.parquet", index=False)
    arguments = ("dataset=parquet", f"dataset.path={tmp_path}/t.parquet", "backbone=identity")
    assert run_command(monkeypatch, tmp_path, "task=describe", *arguments) == 0
    output = " ".join(capsys.readouterr().out.split())
    assert "1.000 (largest class" in output
    assert output.count("price (6e+06)") == 1
