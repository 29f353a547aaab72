"""Family 5, causality: what may influence the distribution of a token."""
