"""Extraction that is slow enough to be killed in the middle, as code of a process of its own."""

SLOW_EXTRACTION = """
    import sys, time
    from contextlib import contextmanager
    from pathlib import Path
    import numpy as np
    from alupdate.data import row_files

    row_files.ROWS_BETWEEN_COMMITS = 8

    def rows(start, stop):
        for first in range(start, stop, 4):
            print(first, flush=True)
            time.sleep(0.03)
            yield np.arange(3.0 * first, 3.0 * first + 12, dtype=np.float32).reshape(-1, 3)

    @contextmanager
    def watched(done, total, which):
        yield lambda rows: None

    extraction = row_files.Extraction(400, rows, watched)
"""
"""400 rows of three numbers, which count from 0; it prints the first of every four."""
