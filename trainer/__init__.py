"""Trainer: makes submissions that are legal by construction. Stands alone: imports neither auditor nor rules."""
