"""Family 7, test-time training: when a validation token may change state."""
