"""What the tests of trackers share."""

import shutil

import pytest
import torch

from tests.support.runs import only_run, run_small
from tests.support.trackers import set_patience


@pytest.fixture(scope="session")
def untracked(tmp_path_factory):
    """The curve of a run without a tracker."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("untracked")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ALUPDATE_CACHE", str(folder / "cache"))
        assert run_small(patch, folder, "progress=false") == 0
    return (only_run(folder) / "curve.csv").read_bytes()


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory):
    """An MLflow file without runs: creating its tables takes two seconds."""
    pytest.importorskip("mlflow", reason="MLflow is not installed")
    from alupdate.trackers.mlflow_files import create_file

    file = tmp_path_factory.mktemp("store") / "mlflow.db"
    create_file(file)
    return file


@pytest.fixture
def store_uri(empty_store, tmp_path):
    """The default store of runs in ``tmp_path``."""
    (tmp_path / "results").mkdir()
    shutil.copy(empty_store, tmp_path / "results" / "mlflow.db")
    return f"sqlite:///{tmp_path}/results/mlflow.db"


@pytest.fixture(autouse=True)
def patience(monkeypatch):
    """A busy machine is no tracker that is down."""
    set_patience(monkeypatch, 60)
