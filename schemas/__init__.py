"""The event contract of secondsight: what is on the wire, and nothing else."""
