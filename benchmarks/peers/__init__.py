"""What `benchmarks/stats.py` compares with: the same statistics on other stream processors."""
