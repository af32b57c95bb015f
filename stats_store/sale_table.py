"""The remembered sales of a store: the durable ones and those changed since."""

from collections.abc import ItemsView

from stats_store.backend.protocol import Backend
from stats_store.sales import SaleRecord, listing_prefix, listing_prefix_of, read_sale


class SaleTable:
    """Records of sales by the key of their entry; see `stats_store.sales`."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._changed: dict[bytes, bytes] = {}
        self._changed_of_listing: dict[bytes, list[bytes]] = {}

    def get(self, key: bytes) -> bytes | None:
        """Return a record as of now, None where there is none."""
        record = self._changed.get(key)
        return self._backend.get(key) if record is None else record

    def put(self, key: bytes, record: bytes) -> None:
        """Set a record."""
        if key not in self._changed:
            self._changed_of_listing.setdefault(listing_prefix_of(key), []).append(key)
        self._changed[key] = record

    def of_listing(self, listing_id: str) -> list[SaleRecord]:
        """Return the records of a listing as of now, in order of the transactions' ids."""
        prefix = listing_prefix(listing_id)
        records = dict(self._backend.scan(prefix))
        for key in self._changed_of_listing.get(prefix, ()):
            records[key] = self._changed[key]
        return [read_sale(records[key]) for key in sorted(records)]

    def changes(self) -> ItemsView[bytes, bytes]:
        """Return the changed records, in no order."""
        return self._changed.items()

    def forget(self) -> None:
        """Forget the changed records: they are durable now, or shall not be."""
        self._changed = {}
        self._changed_of_listing = {}
