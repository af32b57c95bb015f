"""What came of suggestions: listings joined with their answers and their sales."""
