from stats_store.backend.memory import MemoryBackend
from stats_store.histogram_table import HistogramTable


class CountingBackend(MemoryBackend):
    def __init__(self) -> None:
        super().__init__({})
        self.asked: list[bytes] = []

    def get(self, key: bytes) -> bytes | None:
        self.asked.append(key)
        return super().get(key)


def test_the_latest_changed_are_kept_and_the_rest_read_again() -> None:
    backend = CountingBackend()
    table = HistogramTable(backend, kept=2)
    for key in (b"ha", b"hb", b"hc"):
        table.to_change(key).add(len(backend.asked))
        backend.write(table.changes())
        table.committed()
    backend.asked.clear()
    found = [table.get(key) for key in (b"hb", b"hc", b"ha")]
    assert [None if histogram is None else histogram.sum for histogram in found] == [2, 3, 1]
    assert backend.asked == [b"ha"]


def test_changed_histograms_are_held_however_many() -> None:
    table = HistogramTable(MemoryBackend({}), kept=1)
    for price in range(1, 6):
        table.to_change(b"h%d" % price).add(price)
    found = [table.get(b"h%d" % price) for price in range(1, 6)]
    assert [None if histogram is None else histogram.sum for histogram in found] == [1, 2, 3, 4, 5]
