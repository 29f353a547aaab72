"""Source analysis: nothing is executed, everything is read from the syntax tree."""
