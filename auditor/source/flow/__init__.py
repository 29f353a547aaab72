"""What a script does with the validation tokens, in program order: a symbolic evaluator and the events it records."""
