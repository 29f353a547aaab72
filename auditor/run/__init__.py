"""Runs a submission's script, unmodified, at toy scale on a CPU, and tells what it did with the validation tokens."""
