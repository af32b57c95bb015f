"""Whether a new model is needed before its time: `secondsight drift`."""
