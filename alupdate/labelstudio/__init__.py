"""Labelling in Label Studio, with an update after every annotation."""
