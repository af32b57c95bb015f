"""A made market for a year, and the loop of retraining upon it: `benchmarks/simulated_year.py`."""
