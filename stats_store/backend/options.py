"""How RocksDB is set up for the entries of a store."""

from dataclasses import dataclass

from rocksdict import BlockBasedOptions, Cache, DBCompressionType, Options

_BLOOM_BITS = 10  # 1 % false positives: nearly every sale is new, so most look-ups find nothing
_BACKGROUND_JOBS = 2
_KEPT_INFO_LOGS = 4


@dataclass(frozen=True, slots=True)
class RocksDBOptions:
    """Memory of one store on disk: blocks that were read, and entries not yet flushed."""

    block_cache_bytes: int = 32 * 1024 * 1024
    write_buffer_bytes: int = 32 * 1024 * 1024

    def to_rocksdict(self) -> Options:
        """Return the options in the library's form, for the database and each column family."""
        blocks = BlockBasedOptions()
        blocks.set_bloom_filter(_BLOOM_BITS, block_based=False)
        blocks.set_block_cache(Cache(self.block_cache_bytes))
        blocks.set_cache_index_and_filter_blocks(True)
        options = Options(raw_mode=True)
        options.create_if_missing(True)
        options.create_missing_column_families(True)
        options.set_block_based_table_factory(blocks)
        options.set_compression_type(DBCompressionType.lz4())
        options.set_write_buffer_size(self.write_buffer_bytes)
        options.set_db_write_buffer_size(self.write_buffer_bytes)
        options.set_max_background_jobs(_BACKGROUND_JOBS)
        options.set_keep_log_file_num(_KEPT_INFO_LOGS)
        return options
