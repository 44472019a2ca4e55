"""Labels that Label Studio has exported, as JSON, JSON-MIN, CSV or TSV."""

CONTROL = "choice"
"""What the choice of a class is called in the labelling configuration."""
INSTANCE = "instance"
"""What the name of an instance is called in a task's data."""
