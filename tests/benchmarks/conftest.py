import pytest

from benchmarks import measure, scale, sequential


@pytest.fixture
def without_memory(monkeypatch):
    """Steps are run, but their memory is not measured: collecting garbage takes longest."""

    def added_mib(step):
        step()
        return 1.0

    for module in (measure, scale, sequential):
        monkeypatch.setattr(module, "added_mib", added_mib)
