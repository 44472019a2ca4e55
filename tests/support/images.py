"""Small image files of many kinds."""

import io
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

CLASSES = ("cat", "dog")


def pixels(seed: int, height: int = 8, width: int = 8) -> np.ndarray:
    """Return a random colour image (height, width, 3)."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def encoded(image: np.ndarray, kind: str = "PNG") -> bytes:
    """Return the content of an image file."""
    content = io.BytesIO()
    Image.fromarray(image).save(content, kind)
    return content.getvalue()


def small_files(
    splits: tuple[str, ...] = ("train", "test"), per_class: int = 4
) -> dict[str, bytes]:
    """Return the files of an image folder: two classes, every image another one."""
    names = [
        f"{split}/{label}/{i}.png".lstrip("/")
        for split in splits
        for label in CLASSES
        for i in range(per_class)
    ]
    return {name: encoded(pixels(seed)) for seed, name in enumerate(names)}


def write_folder(root: Path, files: dict[str, bytes]) -> str:
    """Write files below ``root`` and return its path."""
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return str(root)


def write_zip(path: Path, files: dict[str, bytes]) -> str:
    """Write files into a zip archive and return its path."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return str(path)
