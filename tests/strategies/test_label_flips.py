from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from skactiveml.pool import DropQuery as LibraryDropQuery

from alupdate.laplace.inputs import with_bias
from alupdate.laplace.posterior import fit_posterior
from alupdate.strategies import diversity, label_flips
from alupdate.strategies.base import Query
from alupdate.strategies.diversity import unit_length
from alupdate.strategies.kmeans import kmeans
from alupdate.strategies.label_flips import AlfaMix, DropQuery, representatives
from alupdate.strategies.scikit_activeml import linear_classifier
from benchmarks.memory import MIB
from tests.support.memory import allocated_mebibytes
from tests.support.problems import make_query


def biased_query(seed, classes=3, candidates=30, dimension=5, taken=(), scale=1.0):
    """A query in float64 whose last feature is the constant 1."""
    rng = np.random.default_rng(seed)
    points = with_bias(torch.from_numpy(rng.normal(size=(candidates, dimension))))
    query = make_query(
        seed=seed, classes=classes, features=points, dtype=torch.float64, taken=taken
    )
    posterior = replace(query.posterior, mean=scale * query.posterior.mean)
    known = query.known_features.clone()
    known[:, -1] = 1
    return replace(
        query, posterior=posterior, kept_logits=posterior.logits(points), known_features=known
    )


def naive_representatives(query, candidates, size):
    """One cluster and one distance at a time; then at random, from the candidates first.

    For each pick a set: the two members of a cluster are equally near to its centre.
    """
    chosen = list(candidates)
    if len(candidates) > size:
        # Of rows that differ by rounding, k-means may number the clusters otherwise.
        rows = unit_length(query.features[candidates, :-1]).numpy()
        points = dict(zip(candidates, rows, strict=True))
        clusters = (
            kmeans(torch.as_tensor(rows), size, query.rng) if size > 1 else np.zeros(len(rows), int)
        )
        chosen = []
        for cluster in range(size):
            members = [i for i, c in zip(candidates, clusters, strict=True) if c == cluster]
            if members:
                centre = np.mean([points[i] for i in members], axis=0)
                gaps = {i: np.linalg.norm(points[i] - centre) for i in members}
                chosen.append({i for i in members if gaps[i] < min(gaps.values()) + 1e-12})
        assert len(chosen) == size
        return chosen
    for source in (candidates, query.free().tolist()):
        others = sorted(set(source) - set(chosen))
        if len(chosen) < size and others:
            count = min(size - len(chosen), len(others))
            chosen += query.rng.choice(others, size=count, replace=False).tolist()
    return [{i} for i in chosen]


def check(chosen, expected):
    assert len(set(chosen.tolist())) == len(chosen) == len(expected)
    assert all(pick in equals for pick, equals in zip(chosen.tolist(), expected, strict=True))


def naive_dropquery(query, size, settings):
    """One candidate and one pass at a time."""
    count, dimension = query.features.shape
    weights = query.posterior.mean.numpy()
    masks = [
        query.rng.random((count, dimension - 1), dtype=np.float32) >= settings.dropout
        for _ in range(settings.n_passes)
    ]
    flips = {}
    for i in query.free().tolist():
        row = query.features[i].numpy()
        whole, flips[i] = (weights @ row).argmax(), 0
        for mask in masks:
            dropped = np.append(row[:-1] * mask[i] / (1 - settings.dropout), row[-1])
            flips[i] += int((weights @ dropped).argmax() != whole)
    wanted = next(
        (
            threshold
            for threshold in range(settings.n_passes // 2 + 1, 1, -1)
            if sum(f >= threshold for f in flips.values()) >= settings.oversample * size
        ),
        1,
    )
    return naive_representatives(query, [i for i, f in flips.items() if f >= wanted], size)


def naive_flips(query, epsilon):
    """Whether each candidate flips: each class mean, and the paper's alpha for each feature."""
    weights, biases = query.posterior.mean[:, :-1], query.posterior.mean[:, -1]
    rows, labels = query.labelled_features[:, :-1], query.labelled_labels
    flips = []
    for point in query.features[:, :-1]:
        z = point.clone().requires_grad_()
        logits = weights @ z + biases
        predicted = logits.argmax()
        torch.nn.functional.cross_entropy(logits[None], predicted[None]).backward()
        flip = False
        for c in set(labels.tolist()):
            away = rows[labels == c].mean(dim=0) - point
            if not away.any():  # the candidate is the mean: nothing to mix in
                continue
            alpha = epsilon / len(point) ** 0.5 * away.norm() * z.grad / z.grad.norm() / away
            mixed = alpha * (point + away) + (1 - alpha) * point
            flip |= bool((weights @ mixed + biases).argmax() != predicted)
        flips.append(flip)
    return flips


@given(
    seed=st.integers(0, 10**4),
    size=st.integers(1, 8),
    passes=st.integers(1, 5),
    oversample=st.sampled_from([1, 2, 25]),
    chunk=st.sampled_from([7, 10**6]),
)
def test_dropquery_equals_the_rule_written_out(seed, size, passes, oversample, chunk):
    settings = DropQuery(n_passes=passes, dropout=0.6, oversample=oversample)
    first, second = (biased_query(seed, taken=(4, 9)) for _ in "ab")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(label_flips, "_CHUNK_NUMBERS", chunk)
        chosen = settings.select(first, size)
    check(chosen, naive_dropquery(second, size, settings))


@given(
    seed=st.integers(0, 10**4),
    classes=st.integers(2, 6),
    size=st.integers(1, 6),
    epsilon=st.floats(0.01, 3),
)
def test_alfamix_equals_the_rule_written_out(seed, classes, size, epsilon):
    first, second = (biased_query(seed, classes, taken=(2,)) for _ in "ab")
    flips = naive_flips(second, epsilon)
    candidates = [i for i in second.free().tolist() if flips[i]]
    expected = naive_representatives(second, candidates, size)
    check(AlfaMix(epsilon=epsilon).select(first, size), expected)


def test_a_sure_model_has_a_direction_still():
    """With logits in the hundreds, every probability but one is 0 in 32 bits."""
    for seed in range(5):
        gentle = biased_query(seed, classes=2, scale=1.0)
        sure = biased_query(seed, classes=2, scale=1000.0)
        single = replace(
            sure,
            features=sure.features.float(),
            kept_logits=sure.logits.float(),
            posterior=replace(sure.posterior, mean=sure.posterior.mean.float()),
            known_features=sure.known_features.float(),
        )
        assert torch.softmax(single.logits, dim=1).amin() == 0
        steps, expected = (label_flips._flipping_steps(q) for q in (single, gentle))
        torch.testing.assert_close(steps.double(), expected, rtol=1e-3, atol=0)


@pytest.mark.parametrize("strategy", [AlfaMix(epsilon=0.4), DropQuery(oversample=1)])
@pytest.mark.parametrize("labels", [[0] * 8, [0] * 7 + [2], []])
def test_classes_without_labels(strategy, labels):
    query = biased_query(3)
    query = replace(
        query,
        known_features=query.known_features[: len(labels)],
        known_labels=torch.tensor(labels, dtype=torch.int64),
    )
    chosen = strategy.select(query, 7)
    assert len(set(chosen.tolist())) == 7


@pytest.mark.parametrize("strategy", [AlfaMix(epsilon=1e-6), DropQuery(dropout=1e-6)])
def test_where_nothing_flips_the_batch_is_random(strategy):
    drawn = set()
    for seed in range(60):
        query = replace(biased_query(1, taken=(0,)), rng=np.random.default_rng(seed))
        drawn |= set(strategy.select(query, 3).tolist())
    assert len(drawn) > 25
    assert 0 not in drawn


def test_all_that_flip_are_picked_where_they_are_few():
    """A classifier of one feature, 0.1 at two candidates and 4 at the others."""
    rows = torch.full((20, 3), 1.0, dtype=torch.float64)
    rows[:, 0] = 4.0
    rows[[6, 13], 0] = 0.1
    weights = torch.tensor([[1.0, 0, 0], [-1.0, 0, 0]], dtype=torch.float64)
    query = Query.of(fit_posterior(weights, rows[:2], "gaussian", 1.0), rows, rows[:2])
    query = replace(query, known_labels=torch.tensor([0, 1]))
    assert {6, 13} <= set(AlfaMix().select(query, 5).tolist())


def test_the_bias_is_never_dropped():
    """The label depends on the bias alone, so nothing flips, however much is dropped."""
    query = biased_query(0)
    weights = torch.zeros(3, 6, dtype=torch.float64)
    weights[1, -1] = 1.0
    posterior = replace(query.posterior, mean=weights)
    query = replace(query, posterior=posterior, kept_logits=posterior.logits(query.features))
    assert not DropQuery(dropout=0.9)._flips(query).any()


@pytest.mark.parametrize("size", [1, 4, 10])
def test_copies_are_picked_only_where_there_is_nothing_else(size):
    points = with_bias(torch.eye(4, dtype=torch.float64).repeat(5, 1))
    query = make_query(features=points, dtype=torch.float64)
    chosen = representatives(query, np.arange(20), size)
    assert len(set(chosen.tolist())) == size
    assert len({i % 4 for i in chosen.tolist()}) == min(size, 4)


def library_picks(query, size, rng):
    """What scikit-activeml picks with our masks, and our clusters of candidates in their order.

    The library's generator is out of reach, so the classifier applies the masks; features are
    sorted by the first one, so that the order of those that the library clusters can be restored.
    """
    rows, weights = query.features[:, :-1].numpy(), query.posterior.mean[:, :-1].numpy()
    model = linear_classifier()(weights, classes=[0, 1, 2]).fit(rows, np.full(len(rows), np.nan))
    plain, calls = model.predict, []

    def predict(dropped):
        calls.append(dropped)
        mask = rng.random(rows.shape, dtype=np.float32) >= 0.75 if len(calls) > 1 else 1
        return plain(rows * mask)

    class Clusters:
        def __init__(self, n_clusters):
            self.count = n_clusters

        def fit_transform(self, points, y=None):
            order = np.argsort(points[:, 0])
            groups = kmeans(torch.as_tensor(points[order]), self.count, rng)[np.argsort(order)]
            centres = np.array([points[groups == g].mean(axis=0) for g in range(self.count)])
            return np.linalg.norm(points[:, None] - centres, axis=2)

    model.predict = predict
    library = LibraryDropQuery(n_dropout_samples=3, cluster_algo=Clusters, random_state=0)
    unlabelled = np.full(len(rows), np.nan)
    return library.query(rows, unlabelled, model, fit_clf=False, batch_size=size)


def test_picks_what_scikit_activeml_picks():
    """With shared masks and clusters, features of unit length and a classifier without bias.

    Otherwise the two differ: the library does not divide the features that it keeps by 1 - dropout,
    which matters beside a bias; it clusters features as they are, takes five passes, and asks for
    more than half of them however few candidates flip. It also takes the candidate nearest to a
    centre even from another cluster, so that the clusters here lie apart, and breaks ties at
    random, as between the labels of an instance without any feature left: here are many.
    """
    for seed in range(16):
        rng = np.random.default_rng(seed)
        rows = np.eye(60)[rng.integers(4, size=80)] + 0.08 * rng.normal(size=(80, 60))
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        points = with_bias(torch.from_numpy(rows[rows[:, 0].argsort()]))
        query = make_query(seed=seed, features=points, dtype=torch.float64)
        weights = query.posterior.mean.clone()
        weights[:, -1] = 0
        posterior = replace(query.posterior, mean=weights)
        query = replace(query, posterior=posterior, kept_logits=posterior.logits(points))
        ours = DropQuery(oversample=1).select(query, 4)
        theirs = library_picks(query, 4, np.random.default_rng(seed))
        assert ours.tolist() == theirs.tolist()


@pytest.mark.parametrize("strategy", [DropQuery(), AlfaMix(epsilon=5.0)])
@pytest.mark.parametrize("size", [1, 4])
def test_features_in_parts_give_the_same_representatives(strategy, size, monkeypatch):
    whole = strategy.select(make_query(candidates=60, dimension=7), size).tolist()
    monkeypatch.setattr(diversity, "_CHUNK_NUMBERS", 40)
    assert strategy.select(make_query(candidates=60, dimension=7), size).tolist() == whole


def test_representatives_copy_their_features_once(tmp_path, monkeypatch):
    """K-means takes as much again; there were five copies."""
    monkeypatch.setattr(diversity, "_CHUNK_NUMBERS", 2**16)
    rows = np.random.default_rng(0).normal(size=(10_000, 64))
    rows[::2, 0] += 30  # two clusters that are found at once
    query = make_query(features=torch.from_numpy(rows))
    everyone = query.free()
    added = allocated_mebibytes(lambda: representatives(query, everyone, 2), tmp_path)
    assert added < 2.7 * query.features.nbytes / MIB
