"""Quantities of stopping rules against slow references, and what they say of degenerate cases."""

import math
import warnings

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from alupdate.config.stop import (
    ChangeSettings,
    KappaSettings,
    PlateauSettings,
    UncertaintySettings,
)
from alupdate.stopping.quantities import cohens_kappa, mean_normalised_entropy, share_changed
from alupdate.stopping.rules import (
    RULES,
    ChangeRule,
    Evidence,
    KappaRule,
    PlateauRule,
    UncertaintyRule,
)

NAN = math.nan
PAIRS = st.integers(1, 5).flatmap(
    lambda classes: st.lists(
        st.tuples(st.integers(0, classes - 1), st.integers(0, classes - 1)), min_size=1, max_size=40
    )
)


@given(PAIRS)
@settings(max_examples=200, deadline=None)
def test_kappa_is_that_of_scikit_learn(pairs):
    first, second = (torch.tensor(column) for column in zip(*pairs, strict=True))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wanted = cohen_kappa_score(first.numpy(), second.numpy())
    found = cohens_kappa(first, second)
    assert math.isnan(found) == math.isnan(wanted)
    if not math.isnan(found):
        assert found == pytest.approx(wanted, abs=1e-12)
    assert share_changed(first, second) == sum(a != b for a, b in pairs) / len(pairs)


@given(st.integers(1, 8), st.integers(2, 6), st.integers(0, 1000), st.sampled_from([0.1, 1, 300]))
@settings(max_examples=100, deadline=None)
def test_entropy_is_the_sum_over_instances_and_classes(rows, classes, seed, scale):
    generator = torch.Generator().manual_seed(seed)
    logits = scale * torch.randn(rows, classes, generator=generator, dtype=torch.float64)
    total = 0.0
    for row in torch.softmax(logits, dim=1).tolist():
        total -= sum(p * math.log(p) for p in row if p > 0)
    wanted = total / rows / math.log(classes)
    assert mean_normalised_entropy(logits) == pytest.approx(wanted, rel=1e-9, abs=1e-12)


def evidence(now, before=None, unlabelled=None, left_out=0.5):
    """One-hot predictions of three classes, sure ones."""

    def logits(labels):
        return 50.0 * torch.nn.functional.one_hot(torch.tensor(labels), 3).double()

    mask = [True] * len(now) if unlabelled is None else unlabelled
    return Evidence(
        logits(now),
        None if before is None else logits(before),
        torch.tensor(mask, dtype=torch.bool),
        lambda: left_out,
    )


def test_one_class_everywhere_is_no_agreement_beyond_chance():
    rule = KappaRule(KappaSettings())
    assert math.isnan(rule.value(evidence([1, 1, 1], [1, 1, 1])))
    assert not rule.stops([NAN, NAN, NAN, NAN])
    assert not rule.stops([1.0, 1.0, NAN])
    assert rule.stops([NAN, 1.0, 1.0, 1.0])


@pytest.mark.parametrize("rule", [KappaRule(KappaSettings()), ChangeRule(ChangeSettings())])
def test_the_first_cycle_has_nothing_to_compare_with(rule):
    value = rule.value(evidence([0, 1, 2]))
    assert math.isnan(value)
    assert not rule.stops([value])


@pytest.mark.parametrize("name", ["classification_change", "overall_uncertainty"])
def test_a_stop_set_that_is_all_labelled_says_nothing(name):
    config = {
        "classification_change": ChangeSettings(),
        "overall_uncertainty": UncertaintySettings(),
    }
    rule = RULES[name](config[name])
    value = rule.value(evidence([0, 1], [0, 1], [False, False]))
    assert math.isnan(value)
    assert not rule.stops([value])


def test_change_and_uncertainty_are_of_what_is_not_labelled_and_kappa_of_all():
    found = evidence([0, 1, 2, 0], [0, 1, 2, 1], [True, True, True, False])
    assert ChangeRule(ChangeSettings()).value(found) == 0
    assert KappaRule(KappaSettings()).value(found) == pytest.approx(
        cohen_kappa_score([0, 1, 2, 0], [0, 1, 2, 1])
    )
    assert UncertaintyRule(UncertaintySettings()).value(found) == pytest.approx(0, abs=1e-12)


def test_kappa_is_averaged_over_the_window():
    rule = KappaRule(KappaSettings(threshold=0.9, window=2))
    assert not rule.stops([1.0])
    assert not rule.stops([1.0, 1.0, 0.79])
    assert rule.stops([0.0, 1.0, 0.81])


def test_thresholds_of_change_and_uncertainty():
    change = ChangeRule(ChangeSettings(share=0.1))
    assert change.stops([0.5, 0.1])
    assert not change.stops([0.0, 0.11])
    uncertainty = UncertaintyRule(UncertaintySettings(threshold=0.05))
    assert uncertainty.stops([0.049])
    assert not uncertainty.stops([0.01, 0.05])


def test_a_plateau_compares_the_means_of_two_windows():
    rule = PlateauRule(PlateauSettings(tolerance=0.05, window=2))
    assert not rule.stops([0.9, 0.9, 0.9])
    assert not rule.stops([0.5, 0.6, 0.6, 0.61])
    assert rule.stops([0.5, 0.6, 0.59, 0.6])
    assert not rule.stops([0.5, NAN, 0.5, 0.5])
    assert rule.value(evidence([0], left_out=0.25)) == 0.25


def test_one_class_has_no_uncertainty():
    assert math.isnan(mean_normalised_entropy(torch.zeros(3, 1)))
    assert math.isnan(cohens_kappa(torch.tensor([]).long(), torch.tensor([]).long()))
