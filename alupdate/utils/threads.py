"""Numbers of threads for PyTorch and the linear algebra of NumPy and SciPy."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import torch
from threadpoolctl import ThreadpoolController

FEW_MULTIPLICATIONS = 2**21
"""About where a second thread begins to pay."""


@contextmanager
def threads_for(multiplications: int) -> Iterator[None]:
    """Let PyTorch's matrix products of so many multiplications use one thread, if that is few.

    Threads gain nothing there, and meet after every product: thousands of times per training, and
    each time for as long as any other program holds one of their cores. Beside one busy program,
    retraining took a hundred times as long on two threads as on one.
    """
    with threads_kept():
        if multiplications < FEW_MULTIPLICATIONS:
            torch.set_num_threads(1)
        yield


@contextmanager
def threads_kept() -> Iterator[None]:
    """Give PyTorch the number of threads that it had before, whatever happens in between."""
    before = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Let the linear algebra of NumPy and SciPy use one thread.

    Where PyTorch takes turns with them, the threads of either would wait for the cores that those
    of the other still hold.
    """
    with libraries("scipy").limit(limits=1, user_api="blas"):
        yield


@cache
def libraries(needed: str) -> ThreadpoolController:
    """Return the thread pools of the libraries that are loaded; to find them takes milliseconds.

    Args:
        needed: the library whose threads matter, already imported. Each has a search of its own,
            since one made before its import would not have found it.
    """
    return ThreadpoolController()
