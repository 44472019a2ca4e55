"""The functions for Python choose and score what a run would."""

import doctest
import importlib
import pkgutil
import subprocess
import sys
import warnings
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from alupdate import strategies
from alupdate.config import (
    ActiveLearningTask,
    PosteriorConfig,
    RunConfig,
    SequentialBatch,
    TopBatch,
    TrainingConfig,
    UpdateConfig,
)
from alupdate.config.options import make_option, options
from alupdate.data.arrays import Npz
from alupdate.data.dataset import Dataset, Vectors
from alupdate.data.pool import Annotator, Pool
from alupdate.experiment.selection import Selector
from alupdate.laplace.inputs import with_bias
from alupdate.laplace.updates import fit, update_rule
from alupdate.models.learner import Model
from alupdate.models.plain import PlainBackbone
from alupdate.strategies.bait import Bait
from alupdate.strategies.base import ScoringStrategy
from alupdate.strategies.batches import build_batch
from alupdate.strategies.lookahead import Lookahead
from alupdate.strategies.sampled_batches import BatchMix
from alupdate.strategies.select import select, utilities
from alupdate.utils.seeds import Stream, generator
from tests.strategies.test_contract import ALL
from tests.support.problems import make_query

MODULES = [
    entry.name for entry in pkgutil.iter_modules(strategies.__path__, "alupdate.strategies.")
]
SCORED = [key for key in ALL if hasattr(options("strategy")[ALL[key][0]], "utilities")]
SCORELESS = {
    "random", "badge", "typiclust", "lookahead", "dropquery", "alfamix", "refine", "boss",
    "ensemble_lookahead",
}  # fmt: skip
FOR_SCORES = {
    "bait": {"oversample": 1},  # otherwise it picks more, and takes some away
    "skactiveml": {"query_strategy": "UncertaintySampling"},  # Falcun draws by its scores
}
UNSCORED = {"expected_lookahead", "expected-map"}
"""They score the candidates of smallest margin only."""


def pool_of(query):
    """The arguments of ``select``: the candidates of a query, then what is labelled."""
    oracle = query.oracle
    count = len(query.features)
    return {
        "features": torch.cat([query.features, query.known_features]),
        "posterior": query.posterior,
        "labelled": range(count, count + len(query.known_features)),
        "labels": query.known_labels,
        "gamma": query.gamma,
        "oracle": (
            torch.cat([oracle.candidate_labels, query.known_labels]),
            oracle.features,
            oracle.labels,
        ),
        "retrain": query.retrain,
    }


def query_for(strategy, seed):
    """What ``make_query`` gives, with the rule that a run would give the strategy."""
    query = make_query(seed=seed)
    update = strategy.hypothetical_update
    return query if update is None else replace(query, rule=update_rule(update))


@pytest.mark.parametrize("key", ALL)
def test_selects_what_the_strategy_does(key):
    name, settings = ALL[key]
    strategy = make_option("strategy", {"name": name, **settings})
    for seed in range(2):
        query = query_for(strategy, seed)
        found = select(name, 5, **pool_of(query), seed=np.random.default_rng(seed), **settings)
        assert found.tolist() == strategy.select(query, 5).tolist()
        again = select(strategy, 5, **pool_of(query), seed=seed)
        assert again.tolist() == found.tolist()


@pytest.mark.parametrize("name", ["margin", "badge", "skactiveml", "expected_lookahead"])
@pytest.mark.parametrize("update", ["second_order", "map"])
def test_a_sequential_batch_is_that_of_a_run(name, update):
    settings = ALL[name][1]
    strategy = make_option("strategy", {"name": name, **settings})
    query = query_for(strategy, 3)
    truth, asked = query.oracle.candidate_labels, []

    def annotate(positions):
        asked.extend(positions.tolist())
        return truth.numpy()[positions]

    sequential = {"batch": "sequential", "every": 2, "rule": update, "annotate": annotate}
    found = select(name, 5, **pool_of(query), seed=3, **sequential, **settings)
    batch = SequentialBatch(name="sequential", size=5, every=2, update=update)
    expected = build_batch(
        strategy, query, batch, update_rule(update), lambda picked: truth[torch.from_numpy(picked)]
    )
    assert found.tolist() == expected.tolist()
    assert asked == found[:4].tolist()


@pytest.mark.parametrize("key", SCORED)
def test_the_highest_utility_is_the_first_pick(key):
    name, settings = ALL[key]
    settings = settings | FOR_SCORES.get(name, {})
    strategy = make_option("strategy", {"name": name, **settings})
    for seed in range(3):
        query = query_for(strategy, seed)
        scores = utilities(name, **pool_of(query), seed=seed, **settings)
        assert scores.shape == (48,)
        assert np.isnan(scores[40:]).all()
        assert np.isfinite(scores[:40]).all() or key in UNSCORED
        pick = select(name, 1, **pool_of(query), seed=seed, **settings)
        assert scores[pick] == np.nanmax(scores)


@pytest.mark.parametrize("name", sorted(SCORELESS))
def test_strategies_without_utilities_say_so(name):
    assert name in options("strategy")
    assert name not in SCORED
    with pytest.raises(ValueError, match=f"strategy={name}: does not score single instances"):
        utilities(name, **pool_of(make_query()))


def test_the_plug_in_of_a_class_without_utilities_says_so(tmp_path, monkeypatch):
    code = "from alupdate.strategies.badge import Badge\nmake_strategy = lambda settings: Badge()\n"
    (tmp_path / "scoreless.py").write_text(code)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="strategy=plugin: does not score single instances"):
        utilities("plugin", module="scoreless", **pool_of(make_query()))


def test_labelled_positions_may_be_anywhere_and_are_never_chosen():
    rng = np.random.default_rng(0)
    features, labelled = rng.normal(size=(30, 4)), [4, 17, 29, 0]
    posterior = fit(
        torch.zeros(3, 4), torch.from_numpy(features[labelled]).float(), "gaussian", 1.0
    )
    for name in ("margin", "coreset", "typiclust", "random"):
        chosen = select(name, 26, features=features, posterior=posterior, labelled=labelled)
        assert sorted([*chosen.tolist(), *labelled]) == list(range(30))


def test_the_bias_column_is_appended_where_the_posterior_has_it():
    features = torch.randn(20, 4, generator=torch.Generator().manual_seed(0))
    posterior = fit(torch.randn(3, 5), with_bias(features[:5]), "gaussian", 1.0)
    found = [
        select("coreset", 4, features=rows, posterior=posterior, labelled=[1, 2])
        for rows in (features, with_bias(features), features.tolist(), features.double())
    ]
    assert all(answer.tolist() == found[0].tolist() for answer in found)


class Own:
    """A strategy that derives from nothing."""

    needs_oracle = False

    def __init__(self, answer):
        self.answer = answer

    def select(self, query, size):
        return self.answer


class Rule(ScoringStrategy):
    """Sees the rule that it is given."""

    def utilities(self, query):
        assert query.rule is RULE
        return query.features[:, 0]


RULE = update_rule("map")


def test_objects_of_ones_own():
    pool = pool_of(make_query())
    assert select(Own([3, 1]), 2, **pool).tolist() == [3, 1]
    scores = utilities(Rule(), **pool, rule=RULE)
    assert select(Rule(), 1, **pool, rule=RULE).tolist() == [int(np.nanargmax(scores))]
    with pytest.raises(ValueError, match="strategy=Own: select returned the same position twice"):
        select(Own([3, 3]), 2, **pool)


class Arrays(ScoringStrategy):
    def utilities(self, query):
        return np.zeros(len(query.features))


WRONG = {
    "strategy=bagde: no such strategy; did you mean badge": {"strategy": "bagde"},
    "strategy=3: must be a name, or an object of a Strategy": {"strategy": 3},
    "Arrays'>: must be a name, or an object of a Strategy": {"strategy": Arrays},
    "must be a name, or an object of a Strategy": {"strategy": SimpleNamespace(select=max)},
    "strategy=Arrays: utilities must return a tensor of shape .*, not ndarray": {
        "strategy": Arrays()
    },
    "oversampl: strategy=bait has no such setting; did you mean oversample": {
        "strategy": "bait",
        "oversampl": 3,
    },
    "oversample=0: must be greater than or equal to 1": {"strategy": "bait", "oversample": 0},
    "query_strategy: a value is required": {"strategy": "skactiveml"},
    "mix.random=-1: must be greater than or equal to 0": {
        "strategy": "lookahead",
        "mix": {"random": -1},
    },
    "strategy.mix: at least one": {
        "strategy": Lookahead(mix=BatchMix(random=0, diverse=0, informative=0))
    },
    "oversample: settings go with a strategy's name only": {"strategy": Bait(), "oversample": 3},
    "strategy.query_strategy=Falcon: no such strategy": {
        "strategy": "skactiveml",
        "query_strategy": "Falcon",
    },
    "size is 0: it must be": {"size": 0},
    "size=41: there are only 40 candidates": {"size": 41},
    "size is 2.5: it must be": {"size": 2.5},
    "every is 0: it must be": {"every": 0},
    "posterior: must be a posterior": {"posterior": torch.zeros(3, 6)},
    "features: must be a matrix of numbers": {"features": "pool"},
    r"features: must have shape \(N, D\), not \(6,\)": {"features": torch.zeros(6)},
    r"features: features have shape \(48, 9\), but the weights have 6": {
        "features": torch.zeros(48, 9)
    },
    "features hold NaN or infinite values, first in row 5": {
        "features": torch.eye(48)[:, :6].index_fill(0, torch.tensor([5]), torch.nan)
    },
    r"features hold values beyond 1e\+15, first in row 5": {
        "features": torch.eye(48)[:, :6].index_fill(0, torch.tensor([5]), 2e15)
    },
    "features: must be a matrix of numbers, not complex128": {"features": 1j * np.eye(48)[:, :6]},
    "features: must be a dense matrix of real": {"features": torch.eye(48)[:, :6].to_sparse()},
    "features: has masked elements": {"features": np.ma.masked_equal(np.eye(48)[:, :6], 1)},
    "features: is no array of numbers": {"features": [[1.0], [1.0, 2.0]]},
    "seed is -1: it must be an integer of at least 0": {"seed": -1},
    "seed is 0.5: it must be an integer of at least 0": {"seed": 0.5},
    "labelled: must be positions from 0 to 47": {"labelled": [48], "labels": [0]},
    "labelled: names a position twice": {"labelled": [3, 3], "labels": [0, 0]},
    "labelled: must be a vector of integers": {"labelled": np.ones(48, dtype=bool)},
    "labelled: leaves no candidates": {"labelled": range(48), "labels": [0] * 48},
    "labels: 2 class indices for 8 instances": {"labels": [0, 1]},
    "labels: must be class indices from 0 to 2": {"labels": [3] * 8},
    "labels: must be a vector of integers": {"labels": ["cat"] * 8},
    "labels: this strategy looks at": {"strategy": Own([0]), "labels": None},
    "batch='one_by_one': must be": {"batch": "one_by_one"},
    "batch='sequential' needs annotate": {"batch": "sequential"},
    "annotate: 1 class indices for 2 instances": {
        "batch": "sequential",
        "every": 2,
        "annotate": lambda positions: [0],
    },
    "gamma is 0: it must be": {"gamma": 0},
    "the strategy is an oracle: give oracle=": {"strategy": "greedy_lookahead", "oracle": None},
    r"oracle\[0\]: 3 class indices for 48": {
        "strategy": "lookahead",
        "oracle": ([0, 1, 2], torch.zeros(2, 6), [0, 1]),
    },
    r"oracle\[1\]: features have shape": {
        "strategy": "lookahead",
        "oracle": ([0] * 48, torch.zeros(2, 4), [0, 1]),
    },
    "no update rule 'newton'": {"rule": "newton"},
}


@pytest.mark.parametrize("message", WRONG)
def test_wrong_arguments_are_one_line(message):
    arguments = {"strategy": "margin", "size": 3, **pool_of(make_query()), **WRONG[message]}
    with pytest.raises(ValueError, match=message) as caught:
        select(**arguments)
    assert "\n" not in str(caught.value)


ALIKE = {
    "float64": lambda rows: rows.astype(np.float64),
    "big-endian": lambda rows: rows.astype(">f4"),
    "Fortran order": np.asfortranarray,
    "backwards": lambda rows: rows[::-1].copy()[::-1],
    "a table": pd.DataFrame,
    "lists": lambda rows: rows.tolist(),
    "read-only": lambda rows: np.frombuffer(rows.tobytes(), rows.dtype).reshape(rows.shape),
}


@pytest.mark.parametrize("form", ALIKE)
def test_features_may_be_any_array_of_the_same_numbers(form):
    pool = pool_of(make_query())
    other = ALIKE[form](pool["features"].numpy())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = select("badge", np.int64(3), **pool | {"features": other, "gamma": np.float32(1)})
    assert found.tolist() == select("badge", 3, **pool).tolist()


def test_built_in_strategies_that_look_at_no_label_need_none():
    pool = pool_of(make_query()) | {"labels": None}
    for name, option in options("strategy").items():
        if not option.uses_labels:
            assert len(select(name, 3, **pool)) == 3


@pytest.mark.parametrize("module", MODULES)
def test_examples_in_docstrings(module):
    assert doctest.testmod(importlib.import_module(module)).failed == 0


def test_the_package_needs_no_library_that_is_an_extra():
    code = (
        "import sys; sys.modules['skactiveml'] = None\n"
        "from alupdate.config.options import make_option\n"
        "from alupdate.utils.errors import InputError\n"
        "option = make_option('strategy', {'name': 'skactiveml', 'query_strategy': 'Falcun'})\n"
        "try:\n    option.load()\n"
        "except InputError as error:\n    print(error)\n"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    )
    assert "pip install 'alupdate[skactiveml]'" in answer.stdout


def test_a_config_names_its_module_or_class_without_loading_it():
    """So that a wrong one is found where a run begins, and a job's process loads its own."""
    nowhere = make_option("strategy", {"name": "plugin", "module": "nowhere"})
    assert "strategy" not in vars(nowhere)
    falcun = make_option("strategy", {"name": "skactiveml", "query_strategy": "Falcun"})
    assert "library_class" not in vars(falcun)


@pytest.fixture(scope="module")
def run():
    """A model on 60 instances, 12 of them labelled, and the data set of a run."""
    rng = np.random.default_rng(0)
    labels = rng.integers(3, size=80)
    rows = (rng.normal(size=(80, 5)) + labels[:, None]).astype(np.float32)
    dataset = Dataset(
        "small", Vectors(rows[:60]), labels[:60], Vectors(rows[60:]), labels[60:], ("a", "b", "c")
    )
    pool, test = (with_bias(torch.from_numpy(part)) for part in (rows[:60], rows[60:]))
    indices = rng.permutation(60)[:12]
    posterior = fit(torch.from_numpy(rng.normal(size=(3, 6))).float(), pool[indices])
    labelled = Pool.unlabelled(60).label(indices, labels[indices])
    return dataset, labelled, Model(pool, test, posterior)


@pytest.mark.parametrize("name", ["margin", "bald", "badge", "typiclust", "lookahead"])
@pytest.mark.parametrize("batch", ["top_b", "sequential"])
def test_chooses_what_a_run_chooses(name, batch, run):
    """The same candidates in the same order, and the generator of the run's cycle."""
    dataset, pool, model = run
    settings = ALL[name][1]
    built = SequentialBatch(name=batch, size=4) if batch == "sequential" else TopBatch(batch, 4)
    config = RunConfig(
        dataset=Npz(path="none"),
        backbone=PlainBackbone(name="identity"),
        strategy=make_option("strategy", {"name": name, **settings}),
        batch=built,
        posterior=PosteriorConfig(),
        training=TrainingConfig(),
        update=UpdateConfig(name="second_order", gamma=2.0),
        task=ActiveLearningTask(name="active_learning"),
        subset=30,
    )
    annotator = Annotator(dataset.train_labels)
    expected = Selector(config, dataset).select(3, pool, model, annotator.annotate)
    candidates = generator(0, Stream.SUBSET, 3).permutation(pool.candidates())[:30]
    order = np.concatenate([candidates, pool.indices])
    found = select(
        name,
        4,
        features=model.pool[order],
        posterior=model.posterior,
        labelled=range(30, 42),
        labels=pool.labels,
        batch=batch,
        annotate=lambda positions: dataset.train_labels[order[positions]],
        gamma=2.0,
        seed=generator(0, Stream.STRATEGY, 3),
        oracle=(dataset.train_labels[order], model.test, dataset.test_labels),
        **settings,
    )
    assert order[found].tolist() == expected.tolist()
