"""The remembered sales of a store: the durable ones and those changed since."""

from collections.abc import Sequence

from stats_store.backend.protocol import Backend
from stats_store.sales import SaleRecord, listing_prefix, listing_prefix_of, read_sale

_DELETED = b""  # as in the changelog


class SaleTable:
    """Records of sales by the key of their entry; see `stats_store.sales`."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._changed: dict[bytes, bytes] = {}
        self._changed_of_listing: dict[bytes, list[bytes]] = {}
        self._unlisted: list[bytes] = []  # changed keys that are not in it yet: few ever need it
        self._fetched: dict[bytes, bytes | None] = {}

    def fetch(self, keys: Sequence[bytes]) -> None:
        """Look records up at once that will be asked for before the next `forget`."""
        self._fetched.update(zip(keys, self._backend.get_many(keys), strict=True))

    def get(self, key: bytes) -> bytes | None:
        """Return a record as of now, None where there is none."""
        record = self._changed.get(key)
        if record is None:
            if key in self._fetched:
                return self._fetched[key]
            return self._backend.get(key)
        return record or None

    def forget_sale(self, key: bytes) -> None:
        """Delete a record."""
        self.put(key, _DELETED)

    def put(self, key: bytes, record: bytes) -> None:
        """Set a record."""
        if key not in self._changed:
            self._unlisted.append(key)
        self._changed[key] = record

    def of_listing(self, listing_id: str) -> list[SaleRecord]:
        """Return the records of a listing as of now, in order of the transactions' ids."""
        prefix = listing_prefix(listing_id)
        records = dict(self._backend.scan(prefix))
        for key in self._unlisted:
            self._changed_of_listing.setdefault(listing_prefix_of(key), []).append(key)
        self._unlisted.clear()
        for key in self._changed_of_listing.get(prefix, ()):
            records[key] = self._changed[key]
        return [read_sale(record) for _, record in sorted(records.items()) if record]

    def changes(self) -> list[tuple[bytes, bytes]]:
        """Return the changed records in the order they first changed; deleted ones are empty."""
        return list(self._changed.items())

    def forget(self) -> None:
        """Forget the changed records: they are durable now, or shall not be."""
        self._changed = {}
        self._changed_of_listing = {}
        self._unlisted = []
        self._fetched = {}
