"""Rules about the single pass: every validation token is scored exactly once."""
