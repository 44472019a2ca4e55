from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from skactiveml.pool import MaxHerding as LibraryMaxHerding

from alupdate.laplace.temperature import best_temperature
from alupdate.strategies import herding
from alupdate.strategies.herding import (
    MaxHerding,
    UHerding,
    held_out_temperature,
    left_out_temperature,
    spacing,
)
from alupdate.strategies.uncertainty import Margin
from tests.laplace.test_temperature import mode
from tests.laplace.test_temperature import naive as left_out
from tests.support.problems import make_query

seeds = st.integers(0, 10**6)


def unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def kernel(a, b, length):
    return np.exp(-np.sum((a - b) ** 2) / length**2)


def check_greedy(chosen, query, length, weights, points=None):
    """Every pick has the largest gain given those before it, over a written-out kernel.

    Points other than the candidate stand for all, the candidate for itself.

    Two candidates that nothing but each other is near to have equal gains, but for rounding.
    """
    rows, labelled = unit(query.features.numpy()), unit(query.labelled_features.numpy())
    points = range(len(rows)) if points is None else points
    for step, pick in enumerate(chosen):
        before = chosen[:step]
        centres = [*labelled, *rows[before]]
        reached = [max([0.0, *(kernel(row, c, length) for c in centres)]) for row in rows]
        gains = {}
        for i in set(query.free()) - set(before):
            near = {x: kernel(rows[x], rows[i], length) for x in points if x != i}
            others = sum(weights[x] * max(k - reached[x], 0.0) for x, k in near.items())
            own = weights[i] * (1 - reached[i])
            gains[i] = others / len(points) + own / len(rows)
        assert gains[pick] >= max(gains.values()) - 1e-12


def uncertainty(query, temperature):
    p = torch.softmax(query.logits / temperature, dim=1).sort(dim=1).values
    return (1 - p[:, -1] + p[:, -2]).numpy()


def small(seed, **keywords):
    return make_query(
        seed=seed, candidates=18, dimension=3, dtype=torch.float64, taken=(2,), **keywords
    )


@given(seeds, st.integers(1, 8), st.floats(0.1, 3))
def test_maxherding_equals_greedy_coverage_written_out(seed, size, length):
    query = small(seed)
    chosen = MaxHerding(length=length).select(query, size)
    check_greedy(chosen, query, length, np.ones(18))


@given(seeds, st.integers(1, 8), st.floats(0.1, 3), st.floats(0.2, 5))
def test_uherding_equals_weighted_coverage_written_out(seed, size, length, temperature):
    query = small(seed)
    chosen = UHerding(length=length, temperature=temperature).select(query, size)
    check_greedy(chosen, query, length, uncertainty(query, temperature))


@given(seeds, st.integers(2, 12), st.integers(1, 5))
def test_coverage_of_a_sample_of_the_candidates(seed, n_points, size):
    points = np.random.default_rng(seed).choice(18, size=n_points, replace=False)
    chosen = MaxHerding(n_points=n_points).select(small(seed), size)
    check_greedy(chosen, small(seed), 1.0, np.ones(18), points)


def test_utilities_are_the_gains_of_the_first_pick():
    query = small(0)
    utilities = UHerding().utilities(query)
    assert utilities.shape == (18,)
    assert int(utilities.index_fill(0, query.picked, -1).argmax()) == UHerding().select(query, 1)[0]


@pytest.mark.parametrize(
    ("name", "number"),
    [("herding.KEPT_NUMBERS", 0), ("unasked._FIRST_LOOK", 1), ("herding._TILE_NUMBERS", 1)],
)
def test_neither_what_is_kept_nor_where_a_pick_looks_changes_a_pick(name, number, monkeypatch):
    def choose(strategy):
        return strategy.select(make_query(candidates=200, dtype=torch.float64), 30).tolist()

    strategies = MaxHerding(), UHerding(), UHerding(length=0.05), MaxHerding(n_points=50)
    whole = [choose(strategy) for strategy in strategies]
    monkeypatch.setattr(f"alupdate.strategies.{name}", number)
    assert [choose(strategy) for strategy in strategies] == whole


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_two_that_only_cover_each_other_are_equal_but_for_rounding(dtype):
    """Their gains are 1 + k - s_1 - s_2: the first of them is picked."""
    rng = np.random.default_rng(0)
    for _ in range(20):
        pair = np.array([[3.0, 0, 0, 0], [3.0, 0, 0, 0]]) + rng.normal(size=(2, 4)) / 10
        others = np.array([[0, 3.0, 0, 0]]) + rng.normal(size=(6, 4)) / 100
        rows = torch.from_numpy(np.concatenate([others, pair]))
        query = make_query(features=rows, dtype=dtype)
        assert 6 in MaxHerding(length=0.2).select(query, 2)


def test_a_pick_looks_at_few_candidates(monkeypatch):
    looked, gains = [], herding.Coverage._gains
    monkeypatch.setattr(
        herding.Coverage,
        "_gains",
        lambda self, *state: looked.append(len(state[-1])) or gains(self, *state),
    )
    UHerding().select(make_query(candidates=1000), 20)
    assert looked[0] == 1000
    assert sum(looked[1:]) < 20 * 150


@pytest.mark.parametrize("seed", range(5))
def test_the_library_picks_the_same_where_its_kernel_is_the_same(seed):
    """Its default kernel is wider: exp(-d^2 / D), which scikit-learn takes where nothing is said.

    It draws at random among the candidates of equal gain, of which there are none here.
    """
    query = make_query(seed=seed, candidates=60, dtype=torch.float64)
    rows = torch.cat([query.known_features, query.features]).numpy()
    labels = np.r_[np.zeros(8), np.full(60, np.nan)]

    def library(**settings):
        return LibraryMaxHerding(random_state=0, **settings).query(rows, labels, batch_size=6) - 8

    ours = MaxHerding().select(query, 6).tolist()
    assert ours == library(metric_dict={"gamma": 1.0}).tolist()
    wide = MaxHerding(length=6**0.5).select(query, 6).tolist()
    assert wide == library().tolist()


def without_labels(query):
    return replace(query, known_features=query.features[:0], known_labels=query.known_labels[:0])


def test_without_labels_nothing_is_covered():
    query = without_labels(make_query(candidates=18, dtype=torch.float64))
    weights = uncertainty(query, 1.0)
    check_greedy(MaxHerding().select(query, 4), query, 1.0, np.ones(18))
    check_greedy(UHerding().select(query, 4), query, 1.0, weights)


def test_where_the_model_is_sure_of_everything_all_points_weigh_the_same():
    query = make_query(candidates=30)
    sure = replace(query, kept_logits=1e6 * query.logits)
    settings = {"temperature": 1.0, "length": 1.0}
    assert UHerding(**settings).select(sure, 6).tolist() == MaxHerding().select(query, 6).tolist()


def test_a_kernel_too_short_to_reach_anything_is_uncertainty_sampling():
    """Of float32, too, whose rounding would lose the candidate itself."""
    for dtype in (torch.float32, torch.float64):
        query = make_query(candidates=50, dtype=dtype)
        chosen = UHerding(length=1e-6, temperature=1.0).select(query, 20)
        assert chosen.tolist() == Margin().select(query, 20).tolist()


def test_of_equal_gains_the_first_candidate_s_wins():
    query = make_query(features=torch.ones(30, 4), taken=(0, 3))
    for strategy in (MaxHerding(), UHerding()):
        assert strategy.select(query, 5).tolist() == [1, 2, 4, 5, 6]


def test_the_length_comes_from_the_nearest_other_labelled_instance():
    query = make_query(dtype=torch.float64)
    rows = unit(query.known_features.numpy())
    gaps = np.linalg.norm(rows[:, None] - rows[None], axis=2)
    np.fill_diagonal(gaps, np.inf)
    for name, number in (("min", gaps.min()), ("median", np.median(gaps.min(axis=1)))):
        given, derived = UHerding(length=float(number)), UHerding(length=name)
        torch.testing.assert_close(derived.utilities(query), given.utilities(query))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_copies_are_no_other_instances(dtype):
    query = make_query(dtype=dtype)
    rows = query.known_features
    doubled = spacing(torch.cat([rows, 3 * rows]))  # of the same direction
    torch.testing.assert_close(doubled, spacing(rows).repeat(2), rtol=1e-5, atol=0)
    assert not len(spacing(rows[:1]))
    assert not len(spacing(rows[:0]))
    assert not len(spacing(rows[:1].repeat(5, 1)))
    alone = replace(query, known_features=rows[:1].repeat(8, 1))
    for length in ("min", "median"):
        found = UHerding(length=length, temperature=1.0).select(alone, 5)
        wanted = UHerding(length=1.0, temperature=1.0).select(alone, 5)
        assert found.tolist() == wanted.tolist()


def trained(seed=0):
    """A query whose model is the mode of its labels under a prior of precision .5."""
    query = make_query(seed=seed, classes=3, dtype=torch.float64)
    rng = np.random.default_rng(seed)
    labels = torch.from_numpy(rng.integers(3, size=30))
    rows = torch.from_numpy(rng.normal(size=(30, 6)) + 2 * np.eye(6)[labels])
    posterior = replace(query.posterior, mean=mode(rows, labels, 0.5))
    return replace(
        query,
        known_features=rows,
        known_labels=labels,
        posterior=posterior,
        kept_logits=posterior.logits(query.features),
    )


@pytest.mark.parametrize("seed", range(3))
def test_the_automatic_temperature_leaves_every_label_out(seed):
    query = trained(seed)
    logits = left_out(query.posterior.mean, query.known_features, query.known_labels, 0.5)
    wanted = best_temperature(logits, query.known_labels)
    assert left_out_temperature(query) == pytest.approx(wanted, rel=1e-4)
    found = UHerding().select(query, 6)
    assert found.tolist() == UHerding(temperature=wanted).select(query, 6).tolist()


def test_the_authors_temperature_holds_a_fifth_of_the_labels_out():
    query = trained()
    order = np.random.default_rng(0).permutation(30)
    out, kept = order[:6], order[6:]
    mean = mode(query.known_features[kept], query.known_labels[kept], 0.5)
    logits, labels = query.known_features[out] @ mean.T, query.known_labels[out]

    def error(temperature):
        sure, guess = torch.softmax(logits / temperature, dim=1).max(dim=1)
        total = 0.0
        for k in range(15):
            inside = (sure >= k / 15) & (sure < (k + 1) / 15)
            right = (guess == labels)[inside].double()
            total += abs(float((right - sure[inside]).sum()))
        return total

    grid = [value / 10 for value in range(10, 200)]
    asked = replace(query, rng=np.random.default_rng(0))
    assert held_out_temperature(asked) == min(grid, key=error)


@pytest.mark.parametrize("choose", [left_out_temperature, held_out_temperature])
def test_labels_that_say_nothing_leave_the_temperature_alone(choose):
    query = trained()
    one_class = replace(query, known_labels=torch.zeros_like(query.known_labels))
    away = replace(query, posterior=replace(query.posterior, mean=-query.posterior.mean))
    for case in (without_labels(query), one_class, away):
        assert choose(case) == 1.0
