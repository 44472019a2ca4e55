"""The baseline: every candidate is equally likely."""

from alupdate.strategies.query import Positions, Query


class RandomSampling:
    """Draws instances at random, without replacement."""

    needs_oracle = False

    def select(self, query: Query, size: int) -> Positions:
        """See ``Strategy``."""
        return query.rng.choice(query.free(), size=size, replace=False)
