import pytest
import skactiveml.pool
import torch

from alupdate.strategies.badge import Badge
from alupdate.strategies.scikit_activeml import ScikitActiveml
from alupdate.utils.errors import InputError
from tests.support.problems import make_query

EVERY_CLASS = sorted(
    name for name in skactiveml.pool.__all__ if hasattr(getattr(skactiveml.pool, name), "query")
)
REFUSED = {
    "ExpectedErrorReduction": "is the base of other strategies",
    "ExpectedModelChangeMaximization": "is for regression",
    "ExpectedModelOutputChange": "is for regression",
    "ExpectedModelVarianceReduction": "is for regression",
    "GreedySamplingTarget": "is for regression",
    "KLDivergenceMaximization": "is for regression",
    "RegressionTreeBasedAL": "is for regression",
    "ParallelUtilityEstimationWrapper": "wraps another strategy",
    "SubSamplingWrapper": "wraps another strategy",
}


def strategy(name, **parameters):
    return ScikitActiveml(query_strategy=name, parameters=parameters)


@pytest.mark.parametrize("name", EVERY_CLASS)
def test_every_class_of_the_library_selects_or_says_why_not(name):
    if name in REFUSED:
        with pytest.raises(InputError, match=REFUSED[name]):
            strategy(name).load()
        return
    query = make_query(classes=2, taken=(0, 3))
    answers = [strategy(name).select(make_query(classes=2, taken=(0, 3)), 4) for _ in range(2)]
    assert answers[0].tolist() == answers[1].tolist()
    assert len(set(answers[0].tolist())) == 4
    assert set(answers[0].tolist()) <= set(query.free().tolist())


def test_epistemic_uncertainty_of_three_classes_is_refused_in_the_library_s_words():
    with pytest.raises(InputError, match="only implemented for two-class problems"):
        strategy("EpistemicUncertaintySampling").select(make_query(), 3)


def test_sees_this_program_s_predictions():
    """The library's BADGE begins with the longest gradient, and so does ours."""
    for seed in range(5):
        query = make_query(seed=seed, dtype=torch.float64)
        theirs = strategy("Badge").select(query, 1)
        assert theirs.tolist() == Badge().select(query, 1).tolist()


@pytest.mark.parametrize(
    ("name", "parameters", "message"),
    [
        ("Falcon", {}, "did you mean Falcun"),
        ("Falcun", {"gama": 3}, "did you mean gamma"),
        ("Falcun", {"gamma": "wide"}, "strategy.query_strategy=Falcun"),
    ],
)
def test_wrong_names_and_parameters_are_one_line(name, parameters, message):
    with pytest.raises(InputError, match=message) as caught:
        strategy(name, **parameters).select(make_query(), 3)
    assert "\n" not in str(caught.value)


def test_parameters_reach_the_library():
    margin = strategy("UncertaintySampling", method="margin_sampling")
    entropy = strategy("UncertaintySampling", method="entropy")
    chosen = [s.select(make_query(seed=2), 5).tolist() for s in (margin, entropy)]
    assert chosen[0] != chosen[1]


def test_an_answer_that_repeats_itself_is_refused():
    query = make_query(features=torch.ones(40, 6))
    with pytest.raises(InputError, match="query_strategy=FourDs: select returned the same"):
        strategy("FourDs").select(query, 4)
