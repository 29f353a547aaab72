"""Rules about the budget: training time, evaluation time, calibration and hardware."""
