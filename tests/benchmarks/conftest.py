import pytest

from benchmarks import memory


@pytest.fixture
def without_memory(monkeypatch):
    """Steps are run, but their memory is not measured: collecting garbage takes longest."""

    def added_mib(step):
        step()
        return 1.0

    monkeypatch.setattr(memory, "added_mib", added_mib)
