"""Networks that turn a photo into a feature vector, and the runtimes they run on."""
