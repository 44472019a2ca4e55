"""Sweeps: many runs by one command, of which none is lost and none is run twice."""
