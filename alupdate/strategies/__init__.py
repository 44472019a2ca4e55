"""The strategies, by name. YAML files name an entry of this table, never a Python object."""

from collections.abc import Callable

from alupdate.config import LookaheadStrategy, StrategyConfig
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


def make_strategy(config: StrategyConfig) -> Strategy:
    """Return the configured strategy."""
    if isinstance(config, LookaheadStrategy):
        return Lookahead(config)
    return PLAIN[config.name]()
