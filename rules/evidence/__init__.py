"""Rules about the evidence: declared numbers, logs and seeds must agree, and the gain must be shown."""
