"""The whole loop on one machine: `secondsight demo`."""
