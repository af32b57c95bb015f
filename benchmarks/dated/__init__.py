"""Real sales with dates, and what time does to their prices: `benchmarks/real_drift.py`."""
