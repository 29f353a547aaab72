"""Rules about the package: the files of a submission, what can be read of them, and what else a change touches."""
