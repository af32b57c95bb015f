"""What training leaves and serving loads: a folder, whole or refused."""
