"""Retraining: the paper's recipe, and the exact optimum of a linear layer."""
