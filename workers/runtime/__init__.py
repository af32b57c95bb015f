"""What every worker runs in: settings, poll loop, merge, transaction, dead letters, health."""
