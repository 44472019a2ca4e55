"""Settings shared by all tests."""

import os

import pytest
import torch
from hypothesis import settings

# Property tests run the same examples every time, and no wall-clock deadline fails them.
settings.register_profile("steady", derandomize=True, deadline=None, max_examples=50)
settings.load_profile("steady")


@pytest.fixture(autouse=True, scope="session")
def one_thread_per_worker():
    """Tests run on all cores already."""
    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def own_cache(monkeypatch, tmp_path):
    """No test reads or writes the user's feature cache."""
    monkeypatch.setenv("ALUPDATE_CACHE", str(tmp_path / "cache"))
