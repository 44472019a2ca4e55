import os

import pytest

from alupdate.utils.errors import InputError
from alupdate.utils.files import file_digest, printable_name, replace_file


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: os.symlink("/dev/zero", path)])
def test_what_is_no_regular_file_has_no_digest(make, tmp_path):
    path = str(tmp_path / "weights.safetensors")
    make(path)
    line = r"^backbone\.weights=.*: cannot be read \([Ii]s (no regular|a dir)"
    with pytest.raises(InputError, match=line):
        file_digest("backbone.weights", path)


def test_a_link_at_the_name_of_a_partial_file_is_not_followed(tmp_path):
    (tmp_path / "victim").write_text("precious")
    (tmp_path / f".a.json.{os.getpid()}.partial").symlink_to(tmp_path / "victim")
    replace_file(tmp_path / "a.json", "new")
    assert (tmp_path / "victim").read_text() == "precious"
    assert (tmp_path / "a.json").read_text() == "new"


@pytest.mark.parametrize(
    ("name", "shown"),
    [("käse", "käse"), (os.fsdecode(b"caf\xe9"), r"caf\xe9"), ("a\x1b[31m\n", r"a\x1b[31m\n")],
)  # fmt: skip
def test_names_are_printable(name, shown):
    assert printable_name(name) == shown
