"""From photos and statistics to a price or a request for a better photo."""
