"""The parts of `auditor.source.configuration`: values, environment, a partial evaluator, and what logs and READMEs say."""
