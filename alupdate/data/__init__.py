"""Data sets, and the pool of instances to choose from."""

from alupdate.config import DatasetConfig, NpzDataset, display_name
from alupdate.data.dataset import Dataset


def load_dataset(config: DatasetConfig) -> Dataset:
    """Load the configured data set (the imports are here since each source has its own)."""
    if isinstance(config, NpzDataset):
        from alupdate.data.npz import read_npz

        return read_npz(config.path, display_name(config))
    from alupdate.data import embedded

    return {"digits": embedded.digits, "mnist5k": embedded.mnist5k}[config.name]()
