"""Measurements: agreement with adjudicated truth, and the corpus table. Never run as tests."""
