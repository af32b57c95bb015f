"""The sentences for sellers: one JSON file a language, by reason."""
