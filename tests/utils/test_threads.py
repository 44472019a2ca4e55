import numpy as np
import pytest
import scipy.linalg  # its linear algebra has threads of its own
import torch
from threadpoolctl import threadpool_info

from alupdate.utils.threads import FEW_MULTIPLICATIONS, one_blas_thread, threads_for


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def blas_threads():
    return [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]


@pytest.mark.parametrize(("work", "threads"), [(1000, 1), (FEW_MULTIPLICATIONS, 2)])
def test_little_work_uses_one_thread_and_gives_the_others_back(work, threads, two_threads):
    with threads_for(work):
        assert torch.get_num_threads() == threads
    assert torch.get_num_threads() == 2
    with pytest.raises(RuntimeError), threads_for(work):
        raise RuntimeError
    assert torch.get_num_threads() == 2


def test_blas_uses_one_thread_inside_only(two_threads):
    assert np.isfinite(scipy.linalg.det(np.eye(2)))
    before = blas_threads()
    assert before
    with one_blas_thread():
        assert blas_threads() == [1] * len(before)
        assert torch.get_num_threads() == 2
    assert blas_threads() == before
