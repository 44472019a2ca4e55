"""Data sets, and the pool of instances to choose from."""

from pathlib import Path

from alupdate.config import (
    CsvDataset,
    DatasetConfig,
    EmbeddedDataset,
    HubDataset,
    ImageDataset,
    ImageFolderDataset,
    NpzDataset,
    ParquetDataset,
    display_name,
)
from alupdate.data.dataset import Dataset
from alupdate.utils.display import Display


def load_dataset(config: DatasetConfig, cache: Path, display: Display) -> Dataset:
    """Load the configured data set.

    Args:
        config: which one, and where it lies.
        cache: the cache directory, for downloads and for what is known of images.
        display: shows progress.

    Raises:
        InputError: it is not there, or malformed.
    """
    return _whole(config, cache, display).reduced(config.n_train, config.n_test)


def _whole(config: DatasetConfig, cache: Path, display: Display) -> Dataset:
    """Load all of it; each source is imported only when it is asked for."""
    name = display_name(config)
    if isinstance(config, EmbeddedDataset):
        from alupdate.data import arrays as embedded

        dataset = {"digits": embedded.digits, "mnist5k": embedded.mnist5k}[config.name](name)
    elif isinstance(config, NpzDataset):
        from alupdate.data.arrays import read_npz

        dataset = read_npz(config.path, name)
    elif isinstance(config, ParquetDataset):
        from alupdate.data.parquet import read_parquet

        dataset = read_parquet(config, name)
    elif isinstance(config, CsvDataset):
        from alupdate.data.tables import read_texts

        dataset = read_texts(config, name)
    elif isinstance(config, ImageFolderDataset):
        from alupdate.data.image_folder import read_image_folder

        dataset = read_image_folder(config, name, cache, display)
    elif isinstance(config, ImageDataset):
        from alupdate.data.named_images import read_known_images

        dataset = read_known_images(config, name, cache, display)
    elif isinstance(config, HubDataset):
        from alupdate.data.hub import read_hub

        dataset = read_hub(config, name, cache)
    else:
        from alupdate.data.openml import read_openml

        dataset = read_openml(config, name, cache)
    return dataset
