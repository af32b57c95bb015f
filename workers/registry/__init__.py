"""Model bundles shared by all workers: where they lie, and which of them answers whom."""
