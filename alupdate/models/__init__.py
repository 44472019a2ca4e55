"""Backbones, and the training of the last layer on the features that they compute."""
