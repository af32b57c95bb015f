"""Training examples: what was listed, what we said, and what came of it."""
