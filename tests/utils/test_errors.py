import pytest

from alupdate.utils.errors import first_line


@pytest.mark.parametrize(
    ("error", "plain", "typed"),
    [
        (ValueError("too large"), "too large", "ValueError: too large"),
        (ValueError("\n  too large\nby far\n"), "too large", "ValueError: too large"),
        (ValueError("one\rtwo"), "one", "ValueError: one"),
        (OSError(), "OSError", "OSError"),
        (SystemExit(" \n"), "SystemExit", "SystemExit"),
    ],
)
def test_an_error_is_one_line(error, plain, typed):
    assert first_line(error) == plain
    assert first_line(error, typed=True) == typed
