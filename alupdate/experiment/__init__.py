"""The tasks: what ``task=NAME`` runs."""
