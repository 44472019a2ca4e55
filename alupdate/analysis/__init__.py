"""Statistics of results: tidy tables of runs in, tables of numbers out."""
