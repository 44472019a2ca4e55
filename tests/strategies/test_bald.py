import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from alupdate.strategies import uncertainty as bald
from alupdate.strategies.uncertainty import mutual_information
from tests.support.references import softmax


def entropy(p):
    return float(-sum(x * np.log(x) for x in p if x > 0))


@given(st.integers(0, 10**6), st.integers(2, 5), st.booleans(), st.floats(0.01, 20))
def test_equals_a_loop_over_samples(seed, classes, per_class, scale):
    rng = np.random.default_rng(seed)
    logits, noise = rng.normal(size=(6, classes)), rng.normal(size=(7, classes))
    variances = scale * rng.random((6, classes if per_class else 1))
    expected = []
    for mean, variance in zip(logits, variances, strict=True):
        samples = [softmax(mean + np.sqrt(variance) * row) for row in noise]
        single = np.mean([entropy(p) for p in samples])
        expected.append(entropy(np.mean(samples, axis=0)) - single)
    found = mutual_information(*map(torch.from_numpy, (logits, variances, noise)))
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


def test_agrees_with_an_integral_for_two_classes():
    """The difference of two logits is N(m, 2 v): Gauss-Hermite against 400,000 samples."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    weights = weights / weights.sum()
    for mean, variance in ((0.0, 0.5), (1.0, 2.0), (-2.0, 4.0)):
        p = 1 / (1 + np.exp(-(mean + np.sqrt(2 * variance) * nodes)))
        single = float(weights @ np.array([entropy((x, 1 - x)) for x in p]))
        mixed = float(weights @ p)
        noise = torch.from_numpy(np.random.default_rng(0).normal(size=(400_000, 2)))
        logits = torch.tensor([[mean, 0.0]], dtype=torch.float64)
        found = mutual_information(logits, torch.tensor([[variance]], dtype=torch.float64), noise)
        assert float(found) == pytest.approx(entropy((mixed, 1 - mixed)) - single, abs=2e-3)


def test_chunks_change_nothing(monkeypatch):
    rng = np.random.default_rng(0)
    arguments = [torch.from_numpy(rng.random(s)) for s in ((20, 3), (20, 1), (5, 3))]
    whole = mutual_information(*arguments)
    monkeypatch.setattr(bald, "_CHUNK_NUMBERS", 1)
    torch.testing.assert_close(mutual_information(*arguments), whole, rtol=1e-13, atol=1e-15)
