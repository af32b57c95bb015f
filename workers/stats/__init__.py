"""The stats worker: sales into statistics, statistics into listings."""
