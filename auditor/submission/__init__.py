"""Opening submissions: files, packed scripts, logs and declared facts. Nothing from a submission is ever executed."""
