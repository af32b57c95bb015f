"""The entries by which a store tells whose it is."""

from stats_store import changelog
from stats_store.backend.protocol import Backend
from stats_store.changelog import FORMAT_KEY, PARTITION_KEY
from stats_store.errors import StoreMismatchError


def identity(partition: int) -> list[tuple[bytes, bytes]]:
    """Return the entries that a new store of a partition starts with."""
    return [
        (FORMAT_KEY, local_number(changelog.FORMAT_VERSION)),
        (PARTITION_KEY, local_number(partition)),
    ]


def check_identity(backend: Backend, partition: int) -> None:
    """Refuse entries that are not those of a store of this partition and format.

    A store of format 1 has the entries of format 2, so all that changes is its name.

    Raises:
        StoreMismatchError: they are not.
    """
    names = {FORMAT_KEY: "format", PARTITION_KEY: "partition"}
    for name, expected in identity(partition):
        found = backend.get(name)
        if found is None:
            raise StoreMismatchError("this is not a store of statistics; use another folder")
        if name == FORMAT_KEY and found == local_number(1):
            backend.write([(FORMAT_KEY, expected)])
        elif found != expected:
            raise StoreMismatchError(
                f"the store is of {names[name]} {read_local_number(found)}, not "
                f"{read_local_number(expected)}; use another folder, or move it away, and the "
                "state is restored from the changelog"
            )


def local_number(value: int) -> bytes:
    """Encode a number that is kept in a store and never in its changelog."""
    return value.to_bytes(8, "little")


def read_local_number(data: bytes) -> int:
    """Decode what `local_number` returned."""
    return int.from_bytes(data, "little")
