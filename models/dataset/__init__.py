"""Dataset folders: what the rows are and how they are read."""
