import pytest
import skactiveml.pool
import torch

from alupdate.config.compose import compose_config
from alupdate.strategies.badge import Badge
from alupdate.strategies.scikit_activeml import ScikitActiveml
from alupdate.utils.errors import InputError
from tests.support.problems import make_query
from tests.support.runs import run_small

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


def composed(name, *arguments):
    chosen = ("strategy=skactiveml", f"strategy.query_strategy={name}", *arguments)
    return compose_config(["dataset=digits", "backbone=pixels", *chosen])


@pytest.mark.parametrize(
    ("name", "parameters", "message"),
    [
        ("Falcon", "{}", "strategy.query_strategy=Falcon: no such strategy in scikit-activeml"),
        ("Falcun", "{gama: 3}", "strategy.parameters.gama: Falcun has no such parameter"),
        ("Falcun", "{gamma: wide}", "strategy.query_strategy=Falcun: scikit-activeml says: "),
        ("TypiClust", "{k: 0}", "strategy.query_strategy=TypiClust: scikit-activeml says: "),
        ("SubSamplingWrapper", "{}", "wraps another strategy"),
    ],
)
def test_what_does_not_work_is_said_when_the_config_is_checked(name, parameters, message):
    with pytest.raises(InputError) as caught:
        composed(name, f"strategy.parameters={parameters}")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_works_with_enough_instances_only_is_not_refused(monkeypatch):
    asked = []

    def select(self, query, size):
        asked.append((len(query.known_features), len(query.features), size))
        if len(query.features) < 900:
            raise InputError("too few candidates")

    monkeypatch.setattr(ScikitActiveml, "select", select)
    composed("Falcun", "n_initial=70", "batch.size=30")
    assert asked == [(40, 40, 20), (70, 1000, 30)]


def test_a_strategy_for_other_data_is_refused_before_anything_is_written(
    monkeypatch, tmp_path, capsys
):
    chosen = ("strategy=skactiveml", "strategy.query_strategy=EpistemicUncertaintySampling")
    assert run_small(monkeypatch, tmp_path, *chosen) == 2
    (line,) = [s for s in capsys.readouterr().err.splitlines() if s.startswith("error")]
    assert "EpistemicUncertaintySampling: scikit-activeml says: " in line
    assert "two-class problems" in line
    assert list(tmp_path.iterdir()) == []
