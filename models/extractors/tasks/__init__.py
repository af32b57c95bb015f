"""Extractors trained on what listings say of themselves, each task alone (3.2), then cut."""
