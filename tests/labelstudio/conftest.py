"""A pool of images in the working directory."""

import pytest

from tests.support.fake_label_studio import make_photos


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """The true class of each instance."""
    monkeypatch.chdir(tmp_path)
    return make_photos(tmp_path / "photos")
