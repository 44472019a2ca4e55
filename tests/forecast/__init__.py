"""Tests of expected accuracies and their intervals."""
