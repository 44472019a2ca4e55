"""Deep active learning with efficient Bayesian updates via Laplace approximations.

What a person at a Python prompt wants, each name imported when it is used:

- ``fit``, ``update_rule``, ``with_bias``: the posterior over one's own last layer, and its updates;
- ``select``, ``utilities``: choosing what to label next, and the scores behind the choice;
- ``Query``, ``Strategy``, ``ScoringStrategy``: writing a strategy;
- ``run``, ``RunResult``, ``load_results``: experiments and their results;
- ``load_model``, ``SavedModel``: a model that was kept, to predict with and to update;
- ``InputError``, ``RunError``: what they raise.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from alupdate.experiment.job import RunError
    from alupdate.experiment.result import RunResult, run
    from alupdate.laplace.inputs import with_bias
    from alupdate.laplace.updates import fit, update_rule
    from alupdate.models.saved import SavedModel, load_model
    from alupdate.results.reader import load_results
    from alupdate.strategies.base import Query, ScoringStrategy, Strategy
    from alupdate.strategies.select import select, utilities
    from alupdate.utils.errors import InputError

_PLACES = {
    "InputError": "alupdate.utils.errors",
    "Query": "alupdate.strategies.base",
    "RunError": "alupdate.experiment.job",
    "RunResult": "alupdate.experiment.result",
    "SavedModel": "alupdate.models.saved",
    "ScoringStrategy": "alupdate.strategies.base",
    "Strategy": "alupdate.strategies.base",
    "fit": "alupdate.laplace.updates",
    "load_model": "alupdate.models.saved",
    "load_results": "alupdate.results.reader",
    "select": "alupdate.strategies.select",
    "update_rule": "alupdate.laplace.updates",
    "utilities": "alupdate.strategies.select",
    "with_bias": "alupdate.laplace.inputs",
}

__all__ = [
    "InputError",
    "Query",
    "RunError",
    "RunResult",
    "SavedModel",
    "ScoringStrategy",
    "Strategy",
    "__version__",
    "fit",
    "load_model",
    "load_results",
    "run",
    "select",
    "update_rule",
    "utilities",
    "with_bias",
]


def __getattr__(name: str) -> Any:
    """Import a name when it is first used: PyTorch takes seconds."""
    if name == "run":  # a module that can be called, so that ``python -m alupdate.run`` works, too
        return import_module("alupdate.run")
    if name in _PLACES:
        return getattr(import_module(_PLACES[name]), name)
    raise AttributeError(f"module 'alupdate' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
