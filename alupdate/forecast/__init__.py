"""Expected accuracy of a model on new instances, and of models with more labels, with intervals.

Pure functions on arrays; ``experiment`` hands them a run's labels, logits and earlier estimates.
"""
