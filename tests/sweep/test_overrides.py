"""Jobs are those that Hydra's own sweeper would make."""

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from alupdate.config.check import HYDRA_ERRORS, explain_hydra_error
from alupdate.config.compose import parse_overrides
from alupdate.sweep.plan import expand
from alupdate.utils.errors import InputError
from alupdate.utils.paths import conf_dir

VALUES = {
    "seed": ["seed=3", "seed=1,2", "seed=range(4)"],
    "strategy": ["strategy=margin", "strategy=random,margin", "strategy='choice(entropy,badge)'"],
    "batch.size": ["batch.size=5", "batch.size=5,10"],
    "update.gamma": ["update.gamma=0.5", "update.gamma=1,10.5,auto"],
    "experiment_name": ["experiment_name=study-a", "experiment_name='a b,c'"],
    "n_initial": ["n_initial=10,20"],
}
COMMANDS = st.fixed_dictionaries({}, optional={k: st.sampled_from(v) for k, v in VALUES.items()})


@pytest.fixture(scope="module", autouse=True)
def hydra():
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        yield


@given(params=COMMANDS, command=COMMANDS)
@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_jobs_are_those_of_hydras_sweeper(params, command):
    arguments = [text.replace("'choice", "choice").replace(")'", ")") for text in command.values()]
    params = {key: text.partition("=")[2] for key, text in params.items() if "'" not in text}
    texts = [f"{key}={value}" for key, value in params.items()] + arguments
    (basic,) = (s for s in Plugins.instance().discover(Sweeper) if s.__name__ == "BasicSweeper")
    (wanted,) = basic.split_arguments(parse_overrides(texts), None)
    assert expand(params, parse_overrides(arguments)) == wanted


def test_an_interval_is_for_a_search():
    with pytest.raises(InputError, match="list some, or search with hydra/sweeper=optuna"):
        expand({}, parse_overrides(["update.gamma=interval(1,10)"]))


@pytest.mark.parametrize(
    ("overrides", "line"),
    [
        (["seed=0,1"], "seed=0,1: a single run takes one value; -m runs one job for each"),
        (
            ["hydra/launcher=joblib", "hydra.launcher.n_jobs=two"],
            "hydra.launcher.n_jobs: Value 'two' of type 'str' could not be converted to Integer",
        ),
    ],
)
def test_what_hydra_refuses_is_one_line_with_its_key(overrides, line):
    with pytest.raises(HYDRA_ERRORS) as caught:
        compose("config", overrides, return_hydra_config=True)
    assert explain_hydra_error(caught.value) == line
