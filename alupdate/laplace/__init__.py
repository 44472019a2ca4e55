"""The last-layer Laplace posterior and its updates: pure mathematics on tensors."""
