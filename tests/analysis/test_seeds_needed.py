import math

import numpy as np
import pytest
from scipy import stats

from alupdate.analysis.aulc import aulc_per_run
from alupdate.analysis.catalogue import analysis_input
from alupdate.analysis.seeds_needed import (
    power_of,
    seeds_needed,
    seeds_needed_frame,
    seeds_needed_tables,
)
from alupdate.results.reader import Results
from alupdate.utils.errors import InputError
from tests.support.curve_tables import curves, random_curves


@pytest.mark.parametrize(("deviation", "seeds"), [(0.0007, 2), (0.01, 10), (0.02, 34), (0.1, 50)])
def test_power_is_that_of_simulated_tests(deviation, seeds):
    pairs = np.random.default_rng(0).normal(0.01, deviation, size=(20_000, seeds))
    found = (stats.ttest_1samp(pairs, 0, axis=1).pvalue < 0.05).mean()
    assert power_of(deviation, seeds) == pytest.approx(found, abs=0.012)


@pytest.mark.parametrize("deviation", [5e-4, 1e-3, 0.01, 0.02, 0.1, 10.0])
@pytest.mark.parametrize("power", [0.8, 0.9])
def test_it_is_the_smallest_number_with_that_power(deviation, power):
    seeds = seeds_needed(deviation, power)
    assert power_of(deviation, seeds) >= power
    assert seeds == 2 or power_of(deviation, seeds - 1) < power


def test_known_numbers_of_a_table_of_power():
    """Cohen's d = .5: 34 pairs for .8, and 44 for .9, as G*Power says."""
    assert (seeds_needed(0.02, 0.8), seeds_needed(0.02, 0.9)) == (34, 44)
    assert seeds_needed(0.0, 0.9) == 2
    with pytest.raises(ValueError, match="not finite"):
        seeds_needed(math.inf, 0.8)


def frame_of(table, reference=None):
    return seeds_needed_frame(aulc_per_run(table), True, reference)


def test_each_variant_is_held_against_the_best_without_an_oracle():
    found = frame_of(random_curves()).set_index("variant")
    assert set(found["against"]) == {"margin"}
    assert set(found.index) == {"random", "lookahead (oracle)"}
    areas = aulc_per_run(random_curves()).pivot_table(
        index="seed", columns="strategy", values="area"
    )
    deviation = (areas["random"] - areas["margin"]).std(ddof=1)
    assert found.loc["random", "deviation"] == pytest.approx(deviation)
    assert found.loc["random", "seeds_for_power_80"] == seeds_needed(deviation, 0.8)
    assert found.loc["random", "seeds_for_power_90"] == seeds_needed(deviation, 0.9)


def test_two_seeds_give_no_deviation():
    found = frame_of(random_curves(n_seeds=2, strategies=("random", "margin")))
    assert found["seeds_for_power_80"].isna().all()
    assert found["note"].item().startswith("2 common seeds: too few to estimate the deviation")


def test_an_infinite_area_gives_no_number():
    table = curves({"random": [[0.1, 0.2]] * 3, "margin": [[0.1, math.inf]] * 3})
    found = frame_of(table, "random")
    assert found["seeds_for_power_80"].isna().all()
    assert found["note"].item() == "an AULC is infinite"


def test_another_reference_is_named_and_an_unknown_one_refused():
    assert set(frame_of(random_curves(), "random")["against"]) == {"random"}
    with pytest.raises(InputError, match="--reference: margn is no variant; did you mean margin"):
        frame_of(random_curves(), "margn")


def test_one_variant_alone_has_no_table():
    given = analysis_input(Results("x", curves=random_curves(strategies=("random",))))
    assert list(seeds_needed_tables(given)) == []
