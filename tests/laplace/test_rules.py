"""How update rules are found, what they say of themselves, and the checked way to call them."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from alupdate.config.values import update_names
from alupdate.laplace.inputs import with_bias
from alupdate.laplace.monte_carlo import MonteCarlo
from alupdate.laplace.names import LIKELIHOODS, UPDATES, Likelihood
from alupdate.laplace.posterior import LastLayerPosterior
from alupdate.laplace.rules import rule_classes
from alupdate.laplace.step_size import choose_gamma
from alupdate.laplace.updates import fit, laplace_posterior, update_rule
from tests.support.update_problems import COMBINATIONS, make_problem, small_rule


def test_every_file_in_conf_update_is_a_rule_and_the_other_way_round() -> None:
    assert set(rule_classes()) == set(update_names())
    assert set(UPDATES) <= set(rule_classes())


def test_rules_are_made_with_the_settings_that_they_have() -> None:
    assert update_rule("monte_carlo", 3, 20) == MonteCarlo(seed=3, n_hypotheses=20)
    for name in set(rule_classes()) - {"monte_carlo"}:
        assert update_rule(name, 3, 20) == rule_classes()[name]()


def test_an_unknown_rule_is_refused_with_the_names_of_those_there_are() -> None:
    with pytest.raises(ValueError, match=r"'magic'.*first_order, map, monte_carlo, second_order"):
        update_rule("magic")
    with pytest.raises(ValueError, match="n_hypotheses is 0"):
        update_rule("monte_carlo", n_hypotheses=0)


@pytest.mark.parametrize("name", UPDATES)
@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_a_rule_updates_the_posteriors_that_it_says_and_refuses_the_others(
    name: str, likelihood: Likelihood
) -> None:
    problem, rule = make_problem(), small_rule(name)
    arguments = (problem.posterior(likelihood), problem.features, problem.labels, 1.0)
    if likelihood in rule.likelihoods:
        result = rule.update(*arguments)
        assert result.posterior.likelihood == likelihood
        assert torch.equal(result.posterior.mean, rule.apply(*arguments).posterior.mean)
        return
    sentence = (
        f"the update rule {name} does not support the likelihood {likelihood}: use the "
        "likelihood gaussian or categorical, or the update rule first_order or map"
    )
    for call in (rule.update, rule.apply):
        with pytest.raises(ValueError, match=sentence):
            call(*arguments)
    with pytest.raises(ValueError, match=sentence):
        rule.directions(arguments[0], problem.features)


@pytest.mark.parametrize("name", ["first_order", "monte_carlo"])
def test_a_step_size_without_a_scale_is_not_chosen(name: str) -> None:
    problem = make_problem()

    def fits(positions: Tensor) -> list[LastLayerPosterior]:
        raise AssertionError("nothing is fitted")

    with pytest.raises(ValueError, match=f"update rule {name}"):
        choose_gamma(
            update_rule(name),
            fits,
            problem.features,
            problem.labels,
            1,
            np.random.default_rng(0),
        )


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("name", "likelihood"), COMBINATIONS)
def test_a_layer_with_a_bias_is_the_same_as_a_column_of_ones(
    name: str, likelihood: Likelihood, dtype: torch.dtype
) -> None:
    problem = make_problem(n_old=12)
    old, new, points = (x.to(dtype) for x in (problem.old, problem.features, problem.points))
    layer = nn.Linear(5, 3, dtype=dtype)
    weights = torch.cat([layer.weight, layer.bias[:, None]], dim=1).detach()
    posterior = fit(layer, old, likelihood, problem.prior)
    by_hand = laplace_posterior(weights, with_bias(old), likelihood, problem.prior)
    assert torch.equal(posterior.mean, by_hand.mean)
    torch.testing.assert_close(posterior.predict(points), torch.softmax(layer(points), dim=1))
    rule = small_rule(name)
    updated = rule.update(posterior, new, problem.labels.to(torch.int32), gamma=0.5)
    expected = rule.apply(by_hand, with_bias(new), problem.labels, 0.5)
    assert updated.posterior.mean.dtype == dtype
    assert torch.equal(updated.posterior.mean, expected.posterior.mean)
    for predictive in ("map", "mean_field", "monte_carlo"):
        torch.testing.assert_close(
            updated.posterior.predict(points, predictive, n_samples=50),
            expected.posterior.predict(with_bias(points), predictive, n_samples=50),
        )


def test_the_hypotheses_predict_features_without_the_constant_too() -> None:
    problem = make_problem()
    layer = nn.Linear(5, 3, dtype=torch.float64)
    rule = MonteCarlo(n_hypotheses=50)
    update = rule.apply(fit(layer, problem.old), with_bias(problem.features), problem.labels, 1.0)
    whole = update.predict(with_bias(problem.points))
    assert torch.equal(update.predict(problem.points), whole)


def test_a_layer_without_bias_is_its_weights() -> None:
    problem = make_problem()
    layer = nn.Linear(5, 3, bias=False, dtype=torch.float64)
    assert torch.equal(fit(layer, problem.old).mean, layer.weight)
    assert not fit(layer.weight, problem.old).mean.requires_grad


def test_predictions_are_repeatable_and_differ_by_seed() -> None:
    problem = make_problem()
    posterior = problem.posterior("gaussian")

    def sampled(seed: int) -> Tensor:
        return posterior.predict(problem.points, "monte_carlo", n_samples=20, seed=seed)

    assert torch.equal(sampled(1), sampled(1))
    assert not torch.equal(sampled(1), sampled(2))
