"""Strategies for large pools copy no pool, and keep no logits of it."""

import pytest
import torch

from alupdate.laplace.updates import fit
from alupdate.strategies.base import Query
from alupdate.strategies.diversity import CoreSet, TypiClust
from alupdate.strategies.herding import MaxHerding, UHerding
from alupdate.strategies.probcover import ProbCover
from benchmarks.memory import MIB
from tests.support.memory import allocated_mebibytes

CANDIDATES, DIMENSION, CLASSES = 200_000, 64, 100
STRATEGIES = (
    CoreSet(),
    TypiClust(n_clustered=500, n_compared=100),
    ProbCover(radius=0.5, n_counted=50),
    MaxHerding(n_points=50),
    UHerding(n_points=50, temperature=1.0),
)


@pytest.fixture
def query(monkeypatch):
    """The pool has 49 MiB, its logits 76."""
    for name, numbers in (
        ("base.KEPT_LOGITS", 2**20),
        ("base.LOGITS_AT_ONCE", 2**18),
        ("diversity._CHUNK_NUMBERS", 2**18),
        ("diversity._COPIED_NUMBERS", 2**18),
        ("probcover._TILE_NUMBERS", 2**18),
        ("herding._TILE_NUMBERS", 2**18),
        ("herding.KEPT_NUMBERS", 2**18),
    ):
        monkeypatch.setattr(f"alupdate.strategies.{name}", numbers)
    torch.manual_seed(0)
    features = torch.randn(CANDIDATES, DIMENSION)
    known, labels = features[:20], torch.arange(20) % CLASSES
    posterior = fit(torch.randn(CLASSES, DIMENSION), known, "gaussian", 1.0)
    return Query.of(posterior, features, known, labels)


@pytest.mark.parametrize("strategy", STRATEGIES, ids=lambda strategy: strategy.name)
def test_memory_is_a_part_of_the_pool_s(strategy, query, tmp_path):
    picked = []
    added = allocated_mebibytes(lambda: picked.append(strategy.select(query, 5)), tmp_path)
    assert len(set(picked[0].tolist())) == 5
    assert added < 0.3 * query.features.nbytes / MIB


def test_a_copy_of_the_pool_would_be_found(query, tmp_path):
    pool = query.features.nbytes / MIB
    tensor = allocated_mebibytes(query.features.clone, tmp_path)
    array = allocated_mebibytes(lambda: query.features.numpy().copy(), tmp_path)
    assert min(tensor, array) > 0.99 * pool
