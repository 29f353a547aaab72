"""Rules about the metric: bytes, bits and tokens must belong together."""
