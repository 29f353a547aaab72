"""Family 6, distribution: what a score has to be the logarithm of."""
