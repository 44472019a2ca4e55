"""The strategy that asks where the posterior knows least."""

from alupdate.strategies.query import Positions, Query, best


class Variance:
    """The largest variance of the logits under the posterior, averaged over classes.

    phi^T Sigma phi depends on the features alone where all classes share a gaussian covariance: it
    is then the D-optimal choice of linear regression, blind to the predictions.
    """

    needs_oracle = False

    def select(self, query: Query, size: int) -> Positions:
        """See ``Strategy``."""
        return best(query.variances.mean(dim=1), query, size)
