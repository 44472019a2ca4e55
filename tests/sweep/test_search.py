"""A search by Optuna gets the area under each run's curve, and its runs are runs like others."""

import pandas as pd
import pytest
import yaml

from alupdate.analysis.aulc import aulc_per_run
from tests.support.runs import run_small

pytest.importorskip("hydra_plugins.hydra_optuna_sweeper")
SEARCH = ("-m", "hydra/sweeper=optuna", "hydra.sweeper.direction=maximize",
          "hydra.sweeper.n_jobs=1", "hydra.sweeper.sampler.seed=1",
          "update=second_order", "update.gamma=tag(log,interval(0.1,100))")  # fmt: skip


@pytest.mark.filterwarnings("ignore")  # Optuna 2 uses what SQLAlchemy 2 has renamed
def test_the_best_trial_is_that_with_the_largest_area(monkeypatch, tmp_path):
    trials = ("hydra.sweeper.n_trials=3", "progress=false")
    assert run_small(monkeypatch, tmp_path, *SEARCH, *trials) == 0
    folder = tmp_path / "results" / "default"
    best = yaml.safe_load((folder / "optimization_results.yaml").read_text())
    curves = [pd.read_csv(path) for path in folder.glob("*/curve.csv")]
    areas = [aulc_per_run(curve, "accuracy")["area"].item() for curve in curves]
    assert len(areas) == 3
    assert best["best_value"] == pytest.approx(max(areas))
    ends = {path: path.stat().st_mtime_ns for path in folder.glob("*/curve.csv")}
    assert run_small(monkeypatch, tmp_path, *SEARCH, *trials) == 0  # finds all of it done
    assert {path: path.stat().st_mtime_ns for path in folder.glob("*/curve.csv")} == ends
    gamma = best["best_params"]["update.gamma"]
    settings = [yaml.safe_load(path.read_text()) for path in folder.glob("*/config.yaml")]
    assert gamma in [pytest.approx(setting["update"]["gamma"]) for setting in settings]


@pytest.mark.filterwarnings("ignore")
def test_a_trial_that_fails_ends_the_search_in_one_line(monkeypatch, tmp_path, capsys):
    trials = ("hydra.sweeper.n_trials=1", "n_initial=5000", "progress=false")
    assert run_small(monkeypatch, tmp_path, *SEARCH, *trials) == 2
    assert "invalid: n_initial=5000: the pool of digits has only" in capsys.readouterr().err
