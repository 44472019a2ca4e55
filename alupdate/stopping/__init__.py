"""When may labelling end? Rules that look at predictions and labels, never at the test set."""
