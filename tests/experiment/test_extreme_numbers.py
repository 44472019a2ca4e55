"""Settings at the ends of what they may be: right results, or one line that says what to change."""

import pandas as pd
import pytest

from tests.support.runs import only_run, run_small

ADVICE = (
    "numbers became too large or too small: use a smaller training.learning_rate or update.gamma, "
    "or a posterior.prior_precision nearer to 1 ("
)


@pytest.mark.parametrize(
    "arguments",
    [
        ("posterior.prior_precision=1e-30", "n_initial=40"),
        ("training.learning_rate=1e30", "update=map"),
        ("training.learning_rate=1e30", "strategy=bait"),
        ("update=map", "update.gamma=1e30"),
    ],
)
def test_arithmetic_that_fails_says_what_to_change(arguments, monkeypatch, tmp_path, capsys):
    assert run_small(monkeypatch, tmp_path, *arguments) == 1
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert line.startswith("failed: ")
    assert ADVICE in line


@pytest.mark.parametrize(
    "arguments",
    [
        ("subset=1", "batch.size=1", "strategy=badge"),
        ("n_cycles=0", "stop=watch", "forecast=expected"),
        ("seed=18446744073709551616",),
        ("training.minibatch=100000", "training.epochs=1"),
        ("update=second_order", "update.gamma=1e30"),
        ("posterior.prior_precision=1e30", "update=second_order"),
        ("batch=power", "batch.variant=softmax", "batch.beta=1e30"),
    ],
)
def test_extreme_settings_give_a_whole_curve(arguments, monkeypatch, tmp_path):
    assert run_small(monkeypatch, tmp_path, *arguments) == 0
    curve = pd.read_csv(only_run(tmp_path) / "curve.csv")
    queries = pd.read_csv(only_run(tmp_path) / "queries.csv")
    assert curve["accuracy"].between(0, 1).all()
    assert queries.groupby("cycle").size().cumsum().tolist() == curve["n_labelled"].tolist()
    assert queries["pool_index"].is_unique
