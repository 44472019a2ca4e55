"""Deep active learning with efficient Bayesian updates via Laplace approximations."""

__version__ = "0.1.0"
