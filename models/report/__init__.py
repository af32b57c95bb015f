"""One page about one bundle on one dataset, for people."""
