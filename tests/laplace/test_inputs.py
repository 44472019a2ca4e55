"""What users pass by mistake is refused with one sentence that says what would be right."""

import re

import numpy as np
import pytest
import torch
from torch import nn

from alupdate.laplace.inputs import with_bias
from alupdate.laplace.updates import fit, update_rule

WEIGHTS = torch.tensor([[1.0, 0.0, 0.5], [0.0, 1.0, -0.5]])
FEATURES = torch.tensor([[1.0, 2.0, 1.0], [0.5, 0.0, 1.0]])
LABELS = torch.tensor([0, 1])


def spoilt(tensor, value):
    copy = tensor.clone()
    copy[1, 1] = value
    return copy


FITS = {
    "weights are list: they must be a tensor": ([[1.0, 2.0]], FEATURES),
    "weights are Sequential: give the last layer": (torch.nn.Sequential(), FEATURES),
    "weights are float16: they must be float32 or float64": (WEIGHTS.half(), FEATURES),
    "weights are int64": (WEIGHTS.long(), FEATURES),
    "weights have shape (3,): they must be a matrix": (WEIGHTS[0], FEATURES),
    "weights have a single row": (nn.Linear(3, 1), FEATURES),
    "weights hold NaN or infinite values, first in row 1": (spoilt(WEIGHTS, torch.nan), FEATURES),
    "features are ndarray: they must be a tensor": (WEIGHTS, np.ones((2, 3))),
    "features are float64 and weights float32: convert one": (WEIGHTS, FEATURES.double()),
    "features hold NaN or infinite values, first in row 1": (WEIGHTS, spoilt(FEATURES, torch.inf)),
    "weights hold values beyond 1e+15, first in row 1": (spoilt(WEIGHTS, -2e15), FEATURES),
    "features hold values beyond 1e+15, first in row 1": (WEIGHTS, spoilt(FEATURES, 2e15)),
    "features are sparse: they must be a dense tensor": (WEIGHTS, FEATURES.to_sparse()),
    "features have shape (0, 3): they must be a matrix that is not empty": (WEIGHTS, FEATURES[:0]),
    "features have shape (3,): they must be a matrix": (WEIGHTS, FEATURES[0]),
    "must be (N, 3), or (N, 2) where the last column of the weights is the bias": (
        WEIGHTS,
        torch.ones(2, 4),
    ),
    "features have shape (2, 1), but the weights have 3 columns": (WEIGHTS, FEATURES[:, :1]),
    "features are on meta and weights on cpu: move one": (WEIGHTS, FEATURES.to("meta")),
}


@pytest.mark.parametrize("message", FITS)
def test_wrong_weights_and_features_are_refused(message):
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        fit(*FITS[message])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("message", "settings"),
    [
        ("one of gaussian, categorical, per_class", {"likelihood": "multinomial"}),
        ("prior_precision is 0: it must be a finite number", {"prior_precision": 0}),
        ("prior_precision is nan", {"prior_precision": float("nan")}),
        ("prior_precision is 'big': it must be a number", {"prior_precision": "big"}),
    ],
)
def test_wrong_settings_of_the_posterior_are_refused(message, settings):
    with pytest.raises(ValueError, match=message):
        fit(WEIGHTS, FEATURES, **settings)


@pytest.mark.parametrize(
    ("message", "change"),
    [
        ("features are float64 and weights float32", {"features": FEATURES.double()}),
        ("features hold NaN", {"features": spoilt(FEATURES, torch.nan)}),
        ("label 2 in row 1: labels must hold one integer from 0 to 1", {"labels": LABELS * 2}),
        ("label -1 in row 0", {"labels": LABELS - 1}),
        ("labels are float32", {"labels": LABELS.float()}),
        ("labels are bool", {"labels": LABELS.bool()}),
        ("labels are list", {"labels": [0, 1]}),
        (r"labels have shape \(1,\): .* each of the 2 rows", {"labels": LABELS[:1]}),
        (r"labels have shape \(2, 2\)", {"labels": torch.eye(2, dtype=torch.int64)}),
        ("labels are on meta and features on cpu", {"labels": LABELS.to("meta")}),
        ("gamma is 0: it must be a finite number greater than 0", {"gamma": 0}),
        ("gamma is inf", {"gamma": float("inf")}),
        ("gamma is 'auto': it must be a number", {"gamma": "auto"}),
    ],
)
@pytest.mark.parametrize("name", ["first_order", "second_order", "map", "monte_carlo"])
def test_wrong_updates_are_refused(name, message, change):
    arguments = {"features": FEATURES, "labels": LABELS, "gamma": 1.0} | change
    with pytest.raises(ValueError, match=message):
        update_rule(name, n_hypotheses=10).update(fit(WEIGHTS, FEATURES), **arguments)


@pytest.mark.parametrize(
    ("message", "arguments"),
    [
        ("features have shape", {"features": torch.ones(2, 5)}),
        ("one of map, mean_field, monte_carlo", {"predictive": "mean"}),
        ("n_samples is 0: it must be an integer of at least 1", {"n_samples": 0}),
    ],
)
def test_wrong_predictions_are_refused(message, arguments):
    with pytest.raises(ValueError, match=message):
        fit(WEIGHTS, FEATURES).predict(**({"features": FEATURES} | arguments))


def test_the_bias_goes_with_tensors_of_two_axes():
    with pytest.raises(ValueError, match="features are ndarray: they must be a tensor"):
        with_bias(np.ones((2, 3)))
    with pytest.raises(ValueError, match=r"features are \(3,\): they must be"):
        with_bias(torch.ones(3))


def test_numbers_may_be_those_of_numpy():
    posterior = fit(WEIGHTS, FEATURES, prior_precision=np.float32(1))
    update_rule("second_order").update(posterior, FEATURES, LABELS, gamma=np.float64(1))
    assert posterior.predict(FEATURES, n_samples=np.int64(3)).shape == (2, 2)
