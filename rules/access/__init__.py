"""Rules about data access: what training and evaluation may read."""
