import numpy as np
import pytest
import torch

from alupdate.config import PosteriorConfig, TrainingConfig
from alupdate.data import feature_cache as mapped_rows
from alupdate.data.feature_cache import Features, MappedRows
from alupdate.models import learner
from alupdate.models.learner import FrozenLearner, LearnerSettings
from tests.support.memory import peak_mebibytes


@pytest.fixture
def mapped(tmp_path):
    features = np.random.default_rng(0).normal(size=(50, 6)).astype(np.float32)
    features.tofile(tmp_path / "features")
    return np.memmap(tmp_path / "features", np.float32, "r", shape=(50, 6))


@pytest.mark.parametrize("chunk", [1, 100, 2**26])
def test_rows_come_in_the_order_asked_for_with_the_bias_last(mapped, chunk, monkeypatch):
    monkeypatch.setattr(mapped_rows, "CHUNK_BYTES", chunk)
    rows = MappedRows(mapped, torch.device("cpu"))
    for positions in ([], [3], [49, 0, 7, 7, 12], np.random.default_rng(1).permutation(50)):
        found = rows[torch.tensor(np.array(positions, dtype=np.int64))]
        expected = np.concatenate([mapped[list(positions)], np.ones((len(positions), 1))], axis=1)
        np.testing.assert_array_equal(found.numpy(), expected)
    assert len(rows) == 50


def test_a_large_mapped_pool_gives_the_same_model(mapped, monkeypatch):
    labels = np.arange(50) % 3
    settings = LearnerSettings(TrainingConfig(solver="lbfgs"), PosteriorConfig(), seed=0)

    def model():
        learner_ = FrozenLearner(Features(mapped, mapped), 3, settings, torch.device("cpu"))
        return learner_.fit(np.arange(5, 25), labels[5:25], 0)

    plain = model()
    monkeypatch.setattr(learner, "LARGE_BYTES", 0)
    large = model()
    assert isinstance(plain.pool, torch.Tensor)
    assert isinstance(large.pool, MappedRows)
    assert torch.equal(plain.posterior.mean, large.posterior.mean)
    everything = torch.arange(50)
    assert torch.equal(plain.pool[everything], large.pool[everything])


def test_a_file_that_was_read_is_not_counted_twice(tmp_path):
    """200 MB of features: gathered, they are in memory once."""
    code = f"""
        import numpy as np, torch
        from alupdate.data.feature_cache import MappedRows
        path = {str(tmp_path / "features")!r}
        features = np.memmap(path, np.float32, "r", shape=({{n}}, 256))
        rows = MappedRows(features, torch.device("cpu"))
        gathered = rows[torch.randperm({{n}})]
        assert gathered.shape == ({{n}}, 257)
    """
    np.memmap(tmp_path / "features", np.float32, "w+", shape=(200_000, 256)).flush()
    little = peak_mebibytes(code.format(n=1000))
    much = peak_mebibytes(code.format(n=200_000))
    assert much - little < 1.7 * 200_000 * 257 * 4 / 2**20
