"""Data sets, the state of the pool, and features that are kept on disk."""
