"""Labelling a pool for real: batches to files, labels from files or a terminal, a model to keep."""
