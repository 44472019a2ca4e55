"""The strategies, by name. YAML files name an entry of this table, never a Python object."""

from collections.abc import Callable

from alupdate.config import LookaheadStrategy, StrategyConfig, UpdateName
from alupdate.laplace.updates import Rule
from alupdate.strategies.lookahead import Lookahead
from alupdate.strategies.query import Strategy
from alupdate.strategies.random_sampling import RandomSampling
from alupdate.strategies.uncertainty import Entropy, LeastConfidence, Margin

PLAIN: dict[str, Callable[[], Strategy]] = {
    "random": RandomSampling,
    "margin": Margin,
    "entropy": Entropy,
    "least_confidence": LeastConfidence,
}


def make_strategy(config: StrategyConfig, rule_of: Callable[[UpdateName], Rule]) -> Strategy:
    """Return the configured strategy.

    Args:
        config: name and settings.
        rule_of: gives the update rule of a name, for strategies that foresee updates.
    """
    if isinstance(config, LookaheadStrategy):
        return Lookahead(config, rule_of(config.update))
    return PLAIN[config.name]()
