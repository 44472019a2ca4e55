"""The frozen learner on features as they come from the cache."""

import numpy as np
import torch

from alupdate.config import PosteriorConfig, TrainingConfig
from alupdate.data.feature_cache import Features
from alupdate.models.learner import FrozenLearner, LearnerSettings


def test_features_mapped_read_only_are_taken_as_they_are(tmp_path):
    rows = np.random.default_rng(0).normal(size=(12, 3)).astype(np.float32)
    rows.tofile(tmp_path / "rows")
    mapped = np.memmap(tmp_path / "rows", np.float32, "r", shape=(12, 3))
    settings = LearnerSettings(TrainingConfig(), PosteriorConfig(), seed=0)
    learner = FrozenLearner(Features(mapped[:8], mapped[8:]), 2, settings, torch.device("cpu"))
    model = learner.fit(np.arange(4), np.array([0, 1, 0, 1]), 0)
    np.testing.assert_array_equal(model.pool[:, :-1], rows[:8])
    np.testing.assert_array_equal(model.test[:, :-1], rows[8:])
    assert (model.pool[:, -1] == 1).all()
    assert (model.test[:, -1] == 1).all()
