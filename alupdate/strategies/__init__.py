"""The strategies, by name. YAML files name an entry of these tables, never a Python object."""

from collections.abc import Callable
from typing import Any

from alupdate.config import (
    ExpectedLookaheadStrategy,
    GreedyLookaheadStrategy,
    LookaheadStrategy,
    StrategyConfig,
    UpdateName,
)
from alupdate.laplace.updates import Rule
from alupdate.strategies.badge import Badge
from alupdate.strategies.expected_lookahead import ExpectedLookahead
from alupdate.strategies.greedy_lookahead import GreedyLookahead
from alupdate.strategies.lookahead import Lookahead
from alupdate.strategies.query import Strategy
from alupdate.strategies.random_sampling import RandomSampling
from alupdate.strategies.uncertainty import Entropy, LeastConfidence, Margin
from alupdate.strategies.variance import Variance

PLAIN: dict[str, Callable[[], Strategy]] = {
    "random": RandomSampling,
    "margin": Margin,
    "entropy": Entropy,
    "least_confidence": LeastConfidence,
    "variance": Variance,
    "badge": Badge,
}
"""Strategies without settings."""

CONFIGURED: dict[str, Callable[[Any], Strategy]] = {}
"""Strategies that are made from their settings."""

FORESEEING: dict[str, Callable[[Any, Rule], Strategy]] = {
    "lookahead": Lookahead,
    "greedy_lookahead": GreedyLookahead,
    "expected_lookahead": ExpectedLookahead,
}
"""Strategies that also need the update whose effect they foresee."""


def make_strategy(config: StrategyConfig, rule_of: Callable[[UpdateName], Rule]) -> Strategy:
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
