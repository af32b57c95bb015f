"""Photos of things: drawn so that whatever moves the price can be seen."""
