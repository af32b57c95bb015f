"""The suggest worker: photos and statistics in, a price suggestion or a re-upload request out."""
