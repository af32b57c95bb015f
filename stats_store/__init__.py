"""Sold-price statistics, exact and reproducible, in RocksDB."""
