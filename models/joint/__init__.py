"""The two networks of the paper (3.3): their losses, training, threshold and range."""
