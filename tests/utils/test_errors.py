import pytest

from alupdate.utils.errors import first_line, redacted


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


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://me:s3cret@host/ml", "https://host/ml"),
        ("'http://me:s3/c@ret@host:5000'", "'http://host:5000'"),
        ("postgresql+psycopg://me:s3cret@host/db?x=1", "postgresql+psycopg://host/db?x=1"),
        ("http://host/ml?token=s3cret&x=1", "http://host/ml?token=***&x=1"),
        ("http://host/?a=1&API_KEY=s3cret", "http://host/?a=1&API_KEY=***"),
        ("http://host:5000/ml and me@host", "http://host:5000/ml and me@host"),
        ("sqlite:////tmp/x/mlflow.db", "sqlite:////tmp/x/mlflow.db"),
    ],
)
def test_passwords_in_addresses_are_not_shown(text, shown):
    assert redacted(text) == shown
    assert redacted(shown) == shown
    assert first_line(ValueError(text)) == shown
