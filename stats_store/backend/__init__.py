"""Where the entries of a store are kept: RocksDB for workers, a dict for tests and replays."""
