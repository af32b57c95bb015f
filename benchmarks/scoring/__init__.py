"""The parts of the benchmark of the outcomes worker, `benchmarks/outcomes.py`."""
