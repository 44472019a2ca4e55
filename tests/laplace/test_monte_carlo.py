"""The Monte-Carlo update against whole sampled weight matrices, quadrature, and its limits."""

import numpy as np
import pytest
import torch

from alupdate.laplace.monte_carlo import MonteCarlo, MonteCarloUpdate, monte_carlo
from alupdate.laplace.posterior import Posterior
from tests.support import references_updates as reference
from tests.support.memory import peak_mebibytes
from tests.support.update_problems import Problem, make_problem

MANY = 200_000


def run(problem: Problem, gamma: float, n_hypotheses: int) -> MonteCarloUpdate:
    rule = MonteCarlo(seed=0, n_hypotheses=n_hypotheses)
    return rule.apply(problem.posterior("gaussian"), problem.features, problem.labels, gamma)


def brute_force(problem: Problem, gamma: float) -> tuple[reference.Array, reference.Array]:
    """Whole weight matrices, as many of them."""
    return reference.monte_carlo(
        problem.mean.numpy(),
        problem.covariances("gaussian")[0],
        problem.features.numpy(),
        problem.labels.numpy(),
        gamma,
        problem.points.numpy(),
        MANY,
        np.random.default_rng(1),
    )


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("gamma", [0.3, 1.0, 3.0])
def test_agrees_with_sampling_all_weights(seed: int, gamma: float) -> None:
    problem = make_problem(seed, size=2)
    predictions, mean = brute_force(problem, gamma)
    update = run(problem, gamma, MANY)
    # Sampling errors of both: standard deviations (at most .5, at most prior^-1/2) / sqrt(size).
    error = update.effective_size() ** -0.5
    np.testing.assert_allclose(update.predict(problem.points), predictions, atol=1.5 * error)
    np.testing.assert_allclose(update.posterior.mean, mean, atol=5 * error * problem.prior**-0.5)


def test_one_label_and_two_classes_agree_with_quadrature() -> None:
    """The logit difference at the instance has the density N(d0, 2 v) sigmoid(d)^gamma."""
    problem = make_problem(classes=2, size=1)
    problem = Problem(
        problem.mean,
        problem.old,
        problem.features,
        torch.zeros(1, dtype=torch.int64),
        problem.features,
        problem.prior,
    )
    phi = problem.features[0].numpy()
    start = float((problem.mean[0] - problem.mean[1]).numpy() @ phi)
    variance = 2 * float(phi @ problem.covariances("gaussian")[0] @ phi)
    nodes, shares = np.polynomial.hermite_e.hermegauss(100)
    likely = 1 / (1 + np.exp(-(start + np.sqrt(variance) * nodes)))
    expected = (shares @ likely**3) / (shares @ likely**2)
    got = run(problem, 2.0, MANY).predict(problem.points)[0, 0]
    assert float(got) == pytest.approx(expected, abs=5e-3)


def test_without_evidence_nothing_changes() -> None:
    problem = make_problem()
    update = run(problem, 0.0, MANY)
    assert update.effective_size() == pytest.approx(MANY)
    torch.testing.assert_close(update.posterior.mean, problem.mean, atol=0.02, rtol=0)


def test_one_hypothesis_with_all_the_weight_is_no_accident() -> None:
    problem = make_problem(size=6)
    update = run(problem, 1e6, 500)
    assert update.effective_size() == pytest.approx(1)
    probabilities = update.predict(problem.points)
    torch.testing.assert_close(probabilities.sum(dim=1), torch.ones(9, dtype=torch.float64))
    assert torch.isfinite(update.posterior.mean).all()
    only = update.hypotheses[update.weights.argmax(), :-1]
    change = (update.whitening @ only).T @ update.change.directions
    torch.testing.assert_close(update.posterior.mean, problem.mean + change)


def test_hypotheses_that_tell_surprising_labels_apart_by_chance_are_finite() -> None:
    """Log-likelihoods near -1e5 must not underflow to 0 / 0."""
    problem = make_problem(size=6)
    posterior = problem.posterior("gaussian")
    assert isinstance(posterior, Posterior)
    far = Posterior(1e4 * problem.mean, posterior.covariance, "gaussian")
    rng = np.random.default_rng(0)
    update = monte_carlo(far, problem.features, problem.labels, 1.0, 100, rng)
    assert torch.isfinite(update.weights).all()
    assert torch.isfinite(update.predict(problem.points)).all()


def test_duplicates_in_the_batch_count_twice() -> None:
    problem = make_problem(size=1)
    twice = Problem(
        problem.mean,
        problem.old,
        problem.features.repeat(2, 1),
        problem.labels.repeat(2),
        problem.points,
        problem.prior,
    )
    torch.testing.assert_close(
        run(twice, 1.0, MANY).predict(problem.points),
        run(problem, 2.0, MANY).predict(problem.points),
        atol=0.02,
        rtol=0,
    )


def test_chunks_do_not_change_the_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = make_problem()
    update = run(problem, 1.0, 300)
    whole = update.predict(problem.points)
    monkeypatch.setattr("alupdate.laplace.monte_carlo._CHUNK_NUMBERS", 1)
    torch.testing.assert_close(update.predict(problem.points), whole)


def test_ten_thousand_hypotheses_stay_under_a_gigabyte() -> None:
    """With equal weights, so that every hypothesis is evaluated at every point.

    All probabilities at once would take 1.6 GB.
    """
    peak = peak_mebibytes("""
        import numpy as np
        from alupdate.laplace.monte_carlo import monte_carlo
        from alupdate.laplace.posterior import fit_posterior
        random = torch.Generator().manual_seed(0)
        mean, rows = (torch.randn(n, 384, generator=random) for n in (10, 50))
        posterior = fit_posterior(0.05 * mean, rows, "gaussian", 1.0)
        new, points = (torch.randn(n, 384, generator=random) for n in (10, 4_000))
        rng = np.random.default_rng(0)
        update = monte_carlo(posterior, new, torch.arange(10), 1e-6, 10_000, rng)
        assert update.effective_size() > 9_000
        assert torch.isfinite(update.predict(points)).all()
    """)
    assert peak < 1024
