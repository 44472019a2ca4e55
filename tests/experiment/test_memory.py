"""A run that cannot fit into memory is refused before anything is written."""

import numpy as np
import pytest
import torch

from alupdate.experiment import memory
from alupdate.experiment.memory import check_memory, machine_bytes, posterior_bytes
from alupdate.laplace.per_class import DENSE_BYTES, fit_per_class
from alupdate.utils.errors import InputError
from tests.support.runs import run_small

CPU = torch.device("cpu")


def test_a_shared_covariance_takes_three_matrices_in_64_bits():
    assert posterior_bytes("gaussian", 10, 20_001, 100) == 3 * 8 * 20_001**2
    assert posterior_bytes("categorical", 10**6, 65, 2) == 3 * 8 * 65**2


@pytest.mark.parametrize("labels", [3, 30, 70])
def test_one_matrix_per_class_is_counted_as_it_is_kept(labels):
    """Low-rank covariances for few labels, dense ones for many."""
    rows = torch.randn(labels, 40, generator=torch.Generator().manual_seed(0))
    fitted = fit_per_class(torch.zeros(5, 40), rows, 1.0).covariances
    kept = getattr(fitted, "matrices", None) if labels > 20 else getattr(fitted, "inner", None)
    assert kept is not None
    own = 24 * kept.shape[1] ** 2  # of the class that is being fitted
    assert posterior_bytes("per_class", labels, 40, 5) == kept.numel() * 4 + own


def test_dense_covariances_that_would_be_large_stay_low_rank_up_to_as_many_labels():
    classes = DENSE_BYTES // (4 * 1000**2) + 1
    assert posterior_bytes("per_class", 999, 1000, classes) == (4 * classes + 24) * 999**2
    assert posterior_bytes("per_class", 1000, 1000, classes) == (4 * classes + 24) * 1000**2


def test_refusals_name_the_key_and_the_sizes(monkeypatch):
    monkeypatch.setattr(memory, "machine_bytes", lambda device: 2**32)
    check_memory(["gaussian", "per_class"], 100, 1281, 100, 10_000, CPU)
    with pytest.raises(InputError, match=r"=gaussian: .* 20000 features.* take 8.9 GiB .* 4.0 GiB"):
        check_memory(["gaussian"], 100, 20_001, 2, 100, CPU)
    with pytest.raises(InputError, match=r"=per_class: .*or posterior.likelihood=gaussian"):
        check_memory(["gaussian", "per_class"], 2000, 1281, 1000, 100, CPU)
    with pytest.raises(InputError, match=r"^dataset.n_test: 20000 test instances of 10000 classes"):
        check_memory(["gaussian"], 100, 33, 10_000, 20_000, CPU)


def test_a_container_may_take_less_than_the_machine_has(monkeypatch, tmp_path):
    limit = tmp_path / "memory.max"
    monkeypatch.setattr(memory, "LIMIT_FILES", (str(limit), str(tmp_path / "missing")))
    whole = machine_bytes(CPU)
    limit.write_text("max\n")
    assert machine_bytes(CPU) == whole > 2**28
    limit.write_text("12345678\n")
    assert machine_bytes(CPU) == 12345678


@pytest.mark.parametrize("task", ["active_learning", "updating"])
def test_a_run_that_does_not_fit_ends_with_one_line(task, monkeypatch, tmp_path, capsys):
    rng = np.random.default_rng(0)
    rows, labels = rng.normal(size=(60, 900)).astype(np.float32), np.arange(60) % 2
    np.savez(tmp_path / "wide.npz", X_train=rows, y_train=labels, X_test=rows, y_test=labels)
    monkeypatch.setattr(memory, "machine_bytes", lambda device: 2**20)
    wide = ("dataset=npz", "dataset.path=wide.npz", "backbone=identity", f"task={task}")
    sizes = ("task.initial_sizes=[10]", "task.new_sizes=[5]") if task == "updating" else ()
    assert run_small(monkeypatch, tmp_path, *wide, *sizes, "subset=null", "progress=false") == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith("error: posterior.likelihood=")
    assert "covariances of 900 features" in line
    assert not list((tmp_path / "results").rglob("*.*"))
