"""Runs with annotators who err: what they cost, what is asked again, and what is learnt of it."""

import json
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
import torch

from alupdate.config.compose import compose_config
from alupdate.data.annotators import lead, majority
from alupdate.data.arrays import digits
from alupdate.data.pool import Pool
from alupdate.experiment.annotation import doubted, self_confidence, votes_of
from alupdate.experiment.setup import learner_settings, prepare
from alupdate.laplace.downdate import downdate
from alupdate.models.learner import Model, apply_rule, make_rule, posterior_of, train_last_layer
from alupdate.models.saved import load_model
from alupdate.results.reader import read_results
from alupdate.results.records import cycles_of
from alupdate.stopping.verdicts import StoppingRules
from alupdate.utils.display import Display
from tests.support.runs import SMALL, only_run, run_cut, run_small

NOISY = (
    "annotator=several", "annotator.votes=2", "annotator.errors=0.5", "annotator.ask_again=2",
    "n_cycles=5",
)  # fmt: skip
FILES = ("curve.csv", "queries.csv", "annotations.csv")


def run(monkeypatch, folder, *arguments):
    folder.mkdir(exist_ok=True)
    assert run_small(monkeypatch, folder, "progress=false", *arguments) == 0
    return only_run(folder)


def records_of(path):
    return cycles_of(json.loads((path / "state.json").read_text())["steps"])


def test_true_labels_leave_no_trace(monkeypatch, tmp_path):
    path = run(monkeypatch, tmp_path, "annotator=truth")
    assert not (path / "annotations.csv").exists()
    assert "annotator" not in (path / "config.yaml").read_text()
    assert "phase" in (path / "timings.csv").read_text()
    assert path.name.startswith("digits-pixels-margin-top_b-retrain-s0-")


def test_every_annotation_counts_and_wrong_labels_are_counted(monkeypatch, tmp_path):
    arguments = ("annotator=several", "annotator.votes=2", "annotator.errors=[.5,.1,.4]")
    path = run(monkeypatch, tmp_path, *arguments, "annotator.ask_again=1", "n_cycles=4")
    table, queries = (pd.read_csv(path / name) for name in ("annotations.csv", "queries.csv"))
    assert path.name.startswith("digits-pixels-margin-top_b-retrain-several-s0-")
    votes, truth = {}, digits().train_labels
    for record, row in zip(records_of(path), table.itertuples(), strict=True):
        new = set(record.indices)
        for index, _, label in record.annotations.given:
            votes.setdefault(index, []).append(label)
        assert row.n_labelled == record.n_labelled == sum(map(len, votes.values()))
        assert row.n_instances == len(votes)
        assert row.n_again == sum(i not in new for i, _, _ in record.annotations.given)
        assert row.n_wrong == sum(majority(v) != truth[i] for i, v in votes.items())
        assert row.label_accuracy == pytest.approx(1 - row.n_wrong / len(votes))
    assert table["n_again"].tolist() == [0, 1, 1, 1, 1]
    assert table["n_labelled"].tolist() == [20 + 5 * cycle for cycle in range(5)]
    assert table["n_wrong"].max() > 0
    assert len(queries) == 10 + 4 * 2
    curve = pd.read_csv(path / "curve.csv")
    assert curve["n_labelled"].tolist() == table["n_labelled"].tolist()


def test_sequential_batches_hear_the_labels_that_are_recorded(monkeypatch, tmp_path):
    """An update with each label, whose model follows from the labels alone."""
    path = run(monkeypatch, tmp_path, "annotator=noisy", "annotator.error=.4", "batch=sequential")
    truth = digits().train_labels
    queries = pd.read_csv(path / "queries.csv")
    wrong = queries["label"] != truth[queries["pool_index"]]
    assert wrong.sum() == pd.read_csv(path / "annotations.csv")["n_wrong"].iloc[-1] > 0


@pytest.mark.parametrize("update", ["retrain", "second_order"])
def test_a_run_with_changed_labels_resumes_after_any_cycle(update, monkeypatch, tmp_path):
    arguments = (*NOISY, f"update={update}", "batch=sequential")
    whole = run(monkeypatch, tmp_path / "whole", *arguments)
    assert pd.read_csv(whole / "annotations.csv")["n_changed"].sum() > 0
    for done in (1, 3, 5):
        folder = tmp_path / f"cut-{done}"
        run_cut(monkeypatch, folder, done, "progress=false", *arguments)
        kept = records_of(only_run(folder))
        cut = run(monkeypatch, folder, *arguments)
        assert records_of(cut)[:done] == kept
        for name in FILES:
            assert (cut / name).read_bytes() == (whole / name).read_bytes()


def test_stopping_rules_compare_with_the_model_before_labels_were_corrected(monkeypatch, tmp_path):
    """With retraining, and with updates: predictions change by the correction, too."""
    seen = []

    def verdicts(self, pool, before, model, history):
        seen.append((before, model))
        return ()

    monkeypatch.setattr(StoppingRules, "verdicts", verdicts)
    path = run(monkeypatch, tmp_path, *NOISY, "update=second_order")
    assert pd.read_csv(path / "annotations.csv")["n_changed"].sum() > 0
    for (_, earlier), (before, _) in pairwise(seen):
        assert before is earlier


def test_recorded_annotations_of_other_annotators_count_as_none(monkeypatch, tmp_path):
    path = run(monkeypatch, tmp_path, *NOISY)
    before = (path / "curve.csv").read_bytes()
    from alupdate.results.store import _checksum

    document = json.loads((path / "state.json").read_text())
    row = document["steps"][0]["annotations"]["given"][0]
    row[2] = (row[2] + 1) % 10
    document["sha256"] = _checksum(document["run"], document["steps"])
    (path / "state.json").write_text(json.dumps(document))
    (path / "status.json").write_text(
        (path / "status.json").read_text().replace("completed", "failed")
    )
    assert run(monkeypatch, tmp_path, *NOISY) == path
    assert "cycle 0 has labels that the data do not have" in (path / "run.log").read_text()
    assert (path / "curve.csv").read_bytes() == before


@pytest.mark.parametrize("name", ["second_order", "first_order", "map"])
def test_after_a_label_changed_the_posterior_is_that_of_recomputation(name, monkeypatch, tmp_path):
    """Trained on the first labels as they are now, and updated with the others, by a plain loop."""
    settings = [setting for setting in SMALL if "n_cycles" not in setting]
    arguments = ["dataset=digits", "backbone=pixels", *settings, *NOISY, f"update={name}"]
    path = run(monkeypatch, tmp_path, *NOISY, f"update={name}", "keep_model=true")
    records = records_of(path)
    assert sum(record.annotations.n_changed for record in records) > 0
    label_of = {index: majority(votes) for index, votes in votes_of(records).items()}
    config = compose_config(arguments)
    rows, rule = prepare(config, Display(enabled=False)).learner.rows, make_rule(name, 9, 0)
    posterior = None
    for record in records:
        features = rows[torch.tensor(record.indices)]
        labels = torch.tensor([label_of[index] for index in record.indices])
        if posterior is None:
            weights = train_last_layer(features, labels, 10, learner_settings(config), 0)
            posterior = posterior_of(weights, features, config.posterior)
        else:
            posterior = rule.apply(posterior, features, labels, config.update.gamma).posterior
    kept = load_model(path).posterior
    torch.testing.assert_close(kept.mean, posterior.mean, rtol=0, atol=0)
    pairs = zip(kept.covariance_matrices(), posterior.covariance_matrices(), strict=True)
    for found, wanted in pairs:
        torch.testing.assert_close(found, wanted, rtol=0, atol=0)


def test_a_relabelled_instance_leaves_the_gaussian_covariance_as_a_downdate_would():
    """Out by a downdate, in by an update with the other label: the covariance that it had."""
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(9, 4, generator=generator, dtype=torch.float64)
    model = Model(rows, rows, posterior_of_rows(rows[:6]))
    rule = make_rule("second_order", 9, 0)
    result = apply_rule(rule, model, np.array([7]), np.array([0]), 1.0)
    without = downdate(result.posterior, rows[7:8], result.added_precision)
    again = replace(model, posterior=without)
    relabelled = apply_rule(rule, again, np.array([7]), np.array([1]), 1.0).posterior
    torch.testing.assert_close(relabelled.covariance, result.posterior.covariance)


def posterior_of_rows(rows):
    from alupdate.laplace.posterior import fit_posterior

    return fit_posterior(torch.zeros(3, rows.shape[1], dtype=rows.dtype), rows, "gaussian", 1.0)


def model_with_a_wrong_label():
    """Two clusters far apart, and one instance of the first one with the other's label."""
    first = torch.tensor([[3.0, 0.1], [3.1, -0.2], [2.9, 0.0], [3.2, 0.3]])
    rows = torch.cat([first, -first]).double()
    rows = torch.cat([rows, torch.ones(8, 1, dtype=torch.float64)], dim=1)
    pool = Pool.unlabelled(8).label(np.arange(8), np.array([0, 0, 0, 1, 1, 1, 1, 1]))
    from alupdate.models.training import optimal_linear

    weights = optimal_linear(rows, torch.from_numpy(pool.labels), 2, 0.01)
    posterior = posterior_of_rows(rows)
    return Model(rows, rows, replace(posterior, mean=weights.double())), pool


def test_the_wrong_label_is_doubted_first():
    model, pool = model_with_a_wrong_label()
    votes = {
        index: [label]
        for index, label in zip(pool.indices.tolist(), pool.labels.tolist(), strict=True)
    }
    assert self_confidence(model, pool).argmin() == 3
    assert doubted(model, pool, votes, 1).tolist() == [3]
    assert len(doubted(model, pool, votes, 5)) == 5
    votes[3] = [1, 1]  # settled, as it was asked about twice and nobody disagreed
    assert lead(votes[3]) == 2
    assert 3 not in doubted(model, pool, votes, 8)
    assert len(doubted(model, pool, {index: [1, 1] for index in range(8)}, 3)) == 0


def test_unspent_picks_go_to_new_instances(monkeypatch, tmp_path):
    """Three of three agree: no vote is open."""
    arguments = ("annotator=several", "annotator.errors=0.0", "annotator.ask_again=2")
    table = pd.read_csv(run(monkeypatch, tmp_path, *arguments) / "annotations.csv")
    assert table["n_instances"].tolist() == [10, 13, 16]
    assert table["n_again"].tolist() == [0, 0, 0]


def test_the_model_of_a_run_that_asked_again_is_found(monkeypatch, tmp_path, capsys):
    path = run(monkeypatch, tmp_path, *NOISY, "keep_model=true")
    written = (path / "model.safetensors").stat().st_mtime_ns
    assert run(monkeypatch, tmp_path, *NOISY, "keep_model=true") == path
    assert (path / "model.safetensors").stat().st_mtime_ns == written


def test_names_tell_annotators_apart(monkeypatch, tmp_path):
    for name in ("truth", "noisy", "several"):
        arguments = (f"annotator={name}", "n_cycles=1", "progress=false")
        assert run_small(monkeypatch, tmp_path, *arguments) == 0
    names = read_results(tmp_path / "results").curves["strategy"].unique().tolist()
    assert sorted(names) == [f"margin (annotator={x})" for x in ("noisy", "several", "truth")]


def test_an_oracle_sees_true_labels(monkeypatch, tmp_path):
    """What it picks does not depend on what annotators are going to say of the candidates."""
    picks = []
    for rate in ("0", "1"):
        arguments = ("annotator=noisy", f"annotator.error={rate}", "n_cycles=1")
        oracle = ("strategy=greedy_lookahead", "n_initial=0")
        path = run(monkeypatch, tmp_path / rate, *arguments, *oracle)
        picks.append(pd.read_csv(path / "queries.csv")["pool_index"].tolist())
    assert picks[0] == picks[1]
