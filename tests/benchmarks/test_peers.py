"""The libraries are asked for the same thing as ours, and the answers are compared rightly."""

import itertools
import re
import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch

from benchmarks import peer_quality, peers
from benchmarks import sequential as problem
from tests.support.references import softmax

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    pytest.importorskip("skactiveml")
    pytest.importorskip("laplace")
    from benchmarks import peer_posteriors, peer_strategies

SMALL = problem.Sizes(pool=60, dimension=8, classes=3, labelled=12, batch=4)
POSTERIORS = peer_posteriors.Sizes(labelled=30, dimension=5, classes=3, points=200, full_points=50)


@pytest.fixture(scope="module")
def setting():
    return problem.Setting.of(SMALL)


@pytest.fixture(scope="module")
def trained():
    return peer_posteriors.Setting.of(POSTERIORS)


def test_every_strategy_is_compared(without_memory):
    rows = list(peer_strategies.rows(True, SMALL))
    assert [row.what.split()[0] for row in rows] == [
        "BADGE", "TypiClust", "CoreSet", "BALD", "BatchBALD"
    ]  # fmt: skip
    agreement = {row.what.split()[0]: row.agreement for row in rows}
    assert agreement["CoreSet"].startswith("same batch; largest gap")
    assert agreement["BALD"] == "same batch"
    assert all(row.against.startswith("scikit-activeml") for row in rows)


@pytest.mark.parametrize("make", ["coreset", "bald"])
def test_where_nothing_differs_the_library_chooses_the_same_batch(setting, make):
    pair = getattr(peer_strategies, make)(setting)
    np.testing.assert_array_equal(pair.ours(0), pair.other(0))


def test_badge_is_random_and_as_good_as_the_librarys(setting):
    pair = peer_strategies.badge(setting)
    assert len({tuple(pair.ours(seed)) for seed in range(5)}) > 1
    assert len({tuple(pair.other(seed)) for seed in range(5)}) > 1
    query = setting.query()
    ours, other = (
        np.mean([peer_quality.potential(query, choose(seed))[1] for seed in range(20)])
        for choose in (pair.ours, pair.other)
    )
    assert ours == pytest.approx(other, rel=0.3)


def test_batch_bald_finds_as_much_information(setting):
    pair = peer_strategies.batch_bald(setting)
    ours, other = pair.ours(0), pair.other(0)
    assert ours[0] == other[0]
    found = re.search(r"information (\S+), theirs (\S+) nats", pair.agreement(ours, other))
    assert found is not None
    assert float(found[1]) == pytest.approx(float(found[2]), rel=0.1)
    assert float(found[1]) > 0.1


def test_potential_is_that_of_loops(setting):
    query, batch = setting.query(), np.array([3, 17])
    features = query.features.double().numpy()
    p = np.stack([softmax(logits) for logits in query.logits.double().numpy()])
    errors = p - np.eye(3)[p.argmax(axis=1)]
    gradients = [np.outer(r, x).ravel() for r, x in zip(errors, features, strict=True)]
    distances = [min(((g - gradients[i]) ** 2).sum() for i in batch) for g in gradients]
    with_origin = [min(d, (g**2).sum()) for d, g in zip(distances, gradients, strict=True)]
    expected = np.mean(distances), np.mean(with_origin)
    assert peer_quality.potential(query, batch) == pytest.approx(expected, rel=1e-4)


def test_gap_and_neighbours_are_those_of_loops(setting):
    query, batch = setting.query(), np.array([5, 40, 2])
    features = query.features.double().numpy()
    known = np.concatenate([query.labelled_features.double().numpy(), features[batch]])
    gaps = [min(np.linalg.norm(x - k) for k in known) for x in features]
    assert peer_quality.largest_gap(query, batch) == pytest.approx(max(gaps), rel=1e-5)
    points = np.concatenate([query.labelled_features.double().numpy(), features])
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    nearest = [
        sorted(np.linalg.norm(points - points[len(query.labelled_features) + i], axis=1))[1:4]
        for i in batch
    ]
    found = peer_quality.neighbour_distance(query, batch, 3)
    assert found == pytest.approx(np.mean(nearest), rel=1e-5)


def test_joint_information_is_that_of_all_joint_labels():
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.full(3, 0.3), size=(2, 5))
    joint = [np.mean(p[0, :, a] * p[1, :, b]) for a, b in itertools.product(range(3), range(3))]
    single = -(p * np.log(p)).sum(axis=2).mean(axis=1).sum()
    expected = -np.dot(joint, np.log(joint)) - single
    found = peer_quality.joint_information(torch.from_numpy(p), np.random.default_rng(1))
    assert found == pytest.approx(expected, abs=0.02)
    assert expected > 0.2


def test_every_posterior_is_compared(without_memory):
    rows = list(peer_posteriors.rows(False, POSTERIORS))
    assert len(rows) == 5
    for row in rows:
        assert row.against.startswith("laplace-torch")
        expected = "difference of the covariance" if "fit" in row.what else "accuracy"
        assert expected in row.agreement
    assert len(list(peer_posteriors.rows(True, POSTERIORS))) == 3


def test_the_shared_covariance_is_laplace_torchs(trained):
    assert peer_posteriors.shared_difference(trained) < 1e-5
    matrix = trained.peer("regression", "kron").posterior_precision.to_matrix().detach()
    classes = torch.arange(len(matrix)) // (POSTERIORS.dimension + 1)
    assert matrix[classes[:, None] != classes].abs().max() < 1e-4 * matrix.abs().max()


def test_the_classes_covariances_are_laplace_torchs_blocks(trained):
    assert peer_posteriors.class_difference(trained) < 1e-5


def test_a_difference_would_be_seen(trained):
    other = replace(trained, weights=2 * trained.weights)
    assert peer_posteriors.class_difference(other) > 1e-3
    fewer = replace(trained, labelled=problem.make_problem(29, 5, 3))
    precision = fewer.peer("regression", "kron").posterior_precision.to_matrix()
    blocks = peer_posteriors.class_covariances(precision, 3)
    ours = trained.gaussian().covariance
    assert float((blocks - ours).abs().max() / ours.abs().max()) > 1e-3


def test_blocks_are_inverted_class_by_class():
    matrix = torch.arange(36.0).view(6, 6) + 50 * torch.eye(6)
    found = peer_posteriors.class_covariances(matrix, 3)
    expected = [torch.linalg.inv(matrix[i : i + 2, i : i + 2].double()) for i in (0, 2, 4)]
    torch.testing.assert_close(found, torch.stack(expected))


def test_a_missing_library_is_one_line_and_no_error(monkeypatch, caplog):
    monkeypatch.setattr(peers, "find_spec", lambda _: None)
    assert list(peers.rows(True)) == []
    assert [record.message.count("\n") for record in caplog.records] == [0, 0]
    assert "scikit-activeml is not installed" in caplog.text
    assert "laplace-torch is not installed" in caplog.text
