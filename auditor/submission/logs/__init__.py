"""Training logs as typed facts with their file and true line number."""
