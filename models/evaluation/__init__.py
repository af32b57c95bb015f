"""How well a bundle does on a dataset."""
