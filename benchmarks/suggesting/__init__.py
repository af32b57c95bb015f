"""What `benchmarks/serving.py` is made of: the suggest worker, its surroundings and its peer."""
