"""Names of update rules, likelihoods, predictive distributions and losses.

The only place that spells them out; it imports nothing but the standard library, so that configs
and tables can use it. An update rule of your own states its name in its own module.
"""

from typing import Final, Literal, get_args

FIRST_ORDER: Final = "first_order"
SECOND_ORDER: Final = "second_order"
MAP: Final = "map"
"""Maximum a posteriori: the name of an update rule and of a predictive distribution."""
MONTE_CARLO: Final = "monte_carlo"
"""Averages over samples of the weights: an update rule and a predictive distribution."""
MEAN_FIELD: Final = "mean_field"

GAUSSIAN: Final = "gaussian"
CATEGORICAL: Final = "categorical"
PER_CLASS: Final = "per_class"

NLL: Final = "nll"
ERROR: Final = "error"
BRIER: Final = "brier"

SharedLikelihood = Literal["gaussian", "categorical"]
"""Likelihoods under which all classes share one covariance."""
Likelihood = Literal["gaussian", "categorical", "per_class"]
Predictive = Literal["map", "mean_field", "monte_carlo"]
Loss = Literal["nll", "error", "brier"]

UPDATES: Final = (FIRST_ORDER, SECOND_ORDER, MAP, MONTE_CARLO)
"""The update rules of [Huseljic2025], and ``map``."""
SHARED_LIKELIHOODS: Final[tuple[SharedLikelihood, ...]] = get_args(SharedLikelihood)
LIKELIHOODS: Final[tuple[Likelihood, ...]] = get_args(Likelihood)
PREDICTIVES: Final[tuple[Predictive, ...]] = get_args(Predictive)
