"""The job that learns from outcomes: window, photos, challenger, gate, publication."""
