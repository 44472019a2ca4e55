"""Analysis of results: one module per question, its numbers beside its tables and figures."""
