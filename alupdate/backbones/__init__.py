"""Backbones: what turns instances into the features of the last layer."""
