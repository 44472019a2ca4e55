"""What docs/findings/realistic-data.md says, from the committed areas."""

from pathlib import Path

import pandas as pd
import pytest
from scipy import stats

from alupdate.analysis.disturbances import disturbance_effects, disturbed_forms

REFERENCE = Path(__file__).parents[2] / "results" / "reference" / "realistic.csv"
AREAS = pd.read_csv(REFERENCE).pivot_table(
    index="seed", columns=["dataset", "strategy"], values="area"
)
DATASETS = ("digits", "mnist5k", "banking77")
FORMS = disturbed_forms(AREAS.columns.get_level_values("dataset"))
TAIL, NOISE = "imbalance50", "noise0.2"


def p_of(differences):
    return stats.ttest_1samp(differences, 0).pvalue


def lost(dataset, disturbance, strategy):
    return AREAS[f"{dataset}_{disturbance}", strategy] - AREAS[dataset, strategy]


def test_the_study_is_whole():
    assert AREAS.shape == (10, 15 * 6)
    assert not AREAS.isna().any(axis=None)
    assert sorted(set(FORMS.values())) == sorted(
        (dataset, form)
        for dataset in DATASETS
        for form in ("clean", TAIL, NOISE, "outliers0.3", "duplicates0.3")
    )


def test_uherding_is_the_best_everywhere_and_above_random_selection():
    told_apart = 0
    for dataset in FORMS:
        means = AREAS[dataset].mean().sort_values()
        assert means.index[-1] == "uherding", dataset
        assert p_of(AREAS[dataset, "uherding"] - AREAS[dataset, "random"]) < 0.012
        told_apart += p_of(AREAS[dataset, "uherding"] - AREAS[dataset, means.index[-2]]) < 0.05
    assert told_apart == 12


@pytest.mark.parametrize("dataset", DATASETS)
def test_rare_classes_cost_typiclust_more_than_margin(dataset):
    gap = lost(dataset, TAIL, "typiclust") - lost(dataset, TAIL, "margin")
    assert -0.11 < gap.mean() < -0.05
    assert p_of(gap) < 0.001


@pytest.mark.parametrize("dataset", DATASETS)
def test_wrong_labels_cost_more_than_choosing_gains(dataset):
    assert all(-0.145 < lost(dataset, NOISE, s).mean() < -0.085 for s in AREAS[dataset])
    assert AREAS[f"{dataset}_{NOISE}", "uherding"].mean() < AREAS[dataset, "random"].mean()


def test_duplicates_cost_nearly_nothing():
    assert min(lost(d, "duplicates0.3", s).mean() for d in DATASETS for s in AREAS[d]) > -0.0165


def test_the_page_has_the_table_of_the_committed_areas():
    table = disturbance_effects(pd.read_csv(REFERENCE))
    page = (Path(__file__).parents[2] / "docs" / "findings" / "realistic-data.md").read_text()
    assert len(table) == 90
    for _, row in table.iterrows():
        named = f"| {row['dataset']} | {row['backbone']} | {row['disturbance']} | {row['variant']} "
        assert f"{named}| {row['area']:.4f} ± {row['area_error']:.4f} |" in page
