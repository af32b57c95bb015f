"""Other ways to price and to refuse, measured beside the joint networks."""
