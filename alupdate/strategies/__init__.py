"""The strategies, by name. YAML files name an entry of these tables, never a Python object."""

from collections.abc import Callable
from typing import Any

from alupdate.config import (
    ExpectedLookaheadStrategy,
    GreedyLookaheadStrategy,
    LookaheadStrategy,
    SkactivemlStrategy,
    StrategyConfig,
    UpdateName,
)
from alupdate.laplace.rules import UpdateRule
from alupdate.strategies.badge import Badge
from alupdate.strategies.bait import Bait
from alupdate.strategies.base import Strategy
from alupdate.strategies.batch_bald import BatchBald
from alupdate.strategies.diversity import CoreSet, ProbCover, TypiClust
from alupdate.strategies.lookahead import ExpectedLookahead, GreedyLookahead, Lookahead
from alupdate.strategies.plugin import Plugin
from alupdate.strategies.uncertainty import (
    Bald,
    Entropy,
    LeastConfidence,
    Margin,
    RandomSampling,
    Variance,
)
from alupdate.utils.errors import InputError

PLAIN: dict[str, Callable[[], Strategy]] = {
    "random": RandomSampling,
    "margin": Margin,
    "entropy": Entropy,
    "least_confidence": LeastConfidence,
    "variance": Variance,
    "badge": Badge,
    "coreset": CoreSet,
}
"""Strategies without settings."""


def _scikit_activeml(settings: SkactivemlStrategy) -> Strategy:
    """Import the library only where it is asked for: it is an extra, and slow to import."""
    try:
        from alupdate.strategies.scikit_activeml import ScikitActiveml
    except ImportError as error:
        raise InputError(
            f"strategy=skactiveml: {error}; pip install 'alupdate[skactiveml]'"
        ) from error
    return ScikitActiveml(settings)


CONFIGURED: dict[str, Callable[[Any], Strategy]] = {
    "bald": Bald,
    "batch_bald": BatchBald,
    "bait": Bait,
    "typiclust": TypiClust,
    "probcover": ProbCover,
    "skactiveml": _scikit_activeml,
    "plugin": Plugin,
}
"""Strategies that are made from their settings."""

FORESEEING: dict[str, Callable[[Any, UpdateRule], Strategy]] = {
    "lookahead": Lookahead,
    "greedy_lookahead": GreedyLookahead,
    "expected_lookahead": ExpectedLookahead,
}
"""Strategies that also need the update whose effect they foresee."""


def make_strategy(config: StrategyConfig, rule_of: Callable[[UpdateName], UpdateRule]) -> Strategy:
    """Return the configured strategy.

    Args:
        config: name and settings.
        rule_of: gives the update rule of a name, for strategies that foresee updates.
    """
    if isinstance(config, LookaheadStrategy | GreedyLookaheadStrategy | ExpectedLookaheadStrategy):
        return FORESEEING[config.name](config, rule_of(config.update))
    if config.name in PLAIN:
        return PLAIN[config.name]()
    return CONFIGURED[config.name](config)
