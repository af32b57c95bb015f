"""The topics and the stores against the recount: what is lost, what is double, what differs."""

import json
import shutil
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from schemas.dead_letter import HEADER_PREFIX, SUFFIX
from tests.torture.recount import Book, Entry, Recount, sales_in_order, seller_numbers
from tests.torture.stored import EMPTY, Stored, expected_histograms, read_store, scope_key
from tests.torture.stream import LISTINGS, TRANSACTIONS

INPUTS = (TRANSACTIONS, LISTINGS)
ENRICHED, CHANGELOG, PARTIALS = "listing.enriched", "stats.changelog", "stats.partials"
DEAD_LETTERS = tuple(topic + SUFFIX for topic in INPUTS)
SHOWN = 20  # of each sort of problem; the first ones tell enough


@dataclass
class Verdict:
    """What was found.

    Attributes:
        lost: listings without an answer, bad records without a dead letter, strays not sent home.
        double: those answered, set aside or sent home more than once.
        state_equal: every store, the changelog and the parts are what the recount says.
        problems: what is wrong, in sentences.
        counted: how much there was to be compared.
    """

    lost: int = 0
    double: int = 0
    state_equal: bool = True
    problems: list[str] = field(default_factory=list)
    counted: Counter[str] = field(default_factory=Counter)

    @property
    def good(self) -> bool:
        return not (self.lost or self.double or self.problems) and self.state_equal

    def differs(self, what: str) -> None:
        self.state_equal = False
        self.problems.append(what)


def judge(
    records: Mapping[str, Sequence[Entry]], expected: Recount, stores: Sequence[Path]
) -> Verdict:
    """Compare everything.

    Args:
        records: the committed records of INPUTS, DEAD_LETTERS, ENRICHED, CHANGELOG and PARTIALS.
        expected: the recount of the inputs.
        stores: folders of RocksDBs, named for their partition; they are brought up to date.
    """
    verdict = Verdict()
    answers(records, expected, verdict)
    set_aside(records, expected, verdict)
    sent_home(expected, verdict)
    inputs = [entry for topic in INPUTS for entry in records[topic]]
    for partition in expected.books:
        sellers_as_they_stood(
            sales_in_order(inputs, partition, expected),
            [e for e in records[ENRICHED] if e.partition == partition],
            verdict,
        )
    for problem in wrong_parts(records[PARTIALS], expected):
        verdict.differs(problem)
    states(records[CHANGELOG], expected, stores, verdict)
    return verdict


def wrong_parts(partials: Sequence[Entry], expected: Recount) -> list[str]:
    """Compare the last published part of each partition, category and currency."""
    published: dict[tuple[int, bytes], bytes] = {
        (entry.partition, entry.key or b""): entry.value or EMPTY for entry in partials
    }
    wanted = {
        (partition, scope_key(scope)): value
        for partition, book in expected.books.items()
        for scope, value in zip(book.prices, expected_histograms(book).values(), strict=True)
        if scope[0] != "seller"
    }
    return [
        f"the part of partition {where[0]} of {where[1]!r} is not what was counted"
        for where in sorted(published.keys() | wanted.keys())
        if published.get(where, EMPTY) != wanted.get(where, EMPTY)
    ]


def sellers_as_they_stood(
    sales: Sequence[Entry], enriched: Sequence[Entry], verdict: Verdict
) -> None:
    """Check that each listing shows its seller as of one moment, and that time never goes back.

    How many sales come before a listing is up to what had been fetched; but there must be one
    point in the partition's sales at which the seller's statistics were what the listing says,
    and no later listing may show an earlier point.
    """
    book, to_come = Book(), iter(sales)
    for entry in enriched:
        fields = json.loads(entry.value or b"")
        shown = fields["statistics"]["seller"]
        names = tuple(shown[name] for name in ("q1", "q2", "q3", "mean", "count"))
        seller, currency = fields["seller_id"], fields["statistics"]["currency"]
        while True:
            prices = book.seller_prices(seller, currency, without=fields["listing_id"])
            if shown["count"] == len(prices) and (
                seller_numbers(prices) == names if prices else shown["source"] != "seller"
            ):
                verdict.counted["sellers_as_they_stood"] += 1
                break
            sale = next(to_come, None)
            if sale is None:
                verdict.problems.append(
                    f"partition {entry.partition}, {ENRICHED} at {entry.offset}: the statistics of "
                    f"{seller!r} in {currency} were {shown} at no time from the listing before on"
                )
                return
            book.take(json.loads(sale.value or b""))


def answers(records: Mapping[str, Sequence[Entry]], expected: Recount, verdict: Verdict) -> None:
    """Find listings that were enriched too seldom or too often."""
    wanted = Counter(
        (partition, entry.headers["ce_id"])
        for partition, listings in expected.listings.items()
        for entry in listings
    )
    found = Counter((entry.partition, entry.headers["ce_id"]) for entry in records[ENRICHED])
    _compare("listing", "enriched", wanted, found, verdict)


def set_aside(records: Mapping[str, Sequence[Entry]], expected: Recount, verdict: Verdict) -> None:
    """Find bad records with too few dead letters or too many."""
    found = Counter(
        (
            entry.headers[HEADER_PREFIX + "topic"].decode(),
            int(entry.headers[HEADER_PREFIX + "partition"]),
            int(entry.headers[HEADER_PREFIX + "offset"]),
        )
        for topic in DEAD_LETTERS
        for entry in records[topic]
    )
    _compare("bad record", "set aside", Counter(expected.bad), found, verdict)


def sent_home(expected: Recount, verdict: Verdict) -> None:
    """Find strays that did not come home once."""
    wanted = Counter(expected.strays.values())
    found = Counter({name: expected.at_home.get(name, 0) for name in wanted})
    _compare("stray", "sent home", wanted, found, verdict)


def _compare(
    what: str, done: str, wanted: Counter[Any], found: Counter[Any], verdict: Verdict
) -> None:
    verdict.counted[f"{what}s"] = wanted.total()
    missing, extra = wanted - found, found - wanted
    verdict.lost += missing.total()
    verdict.double += extra.total()
    for name in sorted(missing)[:SHOWN]:
        verdict.problems.append(f"{what} {name} was not {done}, or too seldom")
    for name in sorted(extra)[:SHOWN]:
        verdict.problems.append(f"{what} {name} was {done} {found[name]} times, not {wanted[name]}")


def states(
    changelog: Sequence[Entry], expected: Recount, stores: Sequence[Path], verdict: Verdict
) -> None:
    """Find what differs in the changelog's state from the recount, and in stores from that."""
    for partition, book in expected.books.items():
        own = [entry for entry in changelog if entry.partition == partition]
        fresh = Path(tempfile.mkdtemp(prefix="torture-restored-"))
        try:
            restored = read_store(fresh / str(partition), partition, own, book)
        finally:
            shutil.rmtree(fresh)
        _state(f"the changelog of partition {partition}", restored, book, verdict)
        up_to_date = 0
        for folder in stores:
            if folder.name != str(partition):
                continue
            # A copy that another worker has taken over from is behind, but never beside.
            copy = read_store(folder, partition, own, book)
            verdict.counted["stores"] += 1
            up_to_date += not copy.behind
            for family, entries in restored.entries.items():
                if copy.entries[family] != entries:
                    verdict.differs(f"{folder}: {family} differ from the changelog's")
        if own and not up_to_date:
            verdict.differs(f"no store of partition {partition} had its last batch")


def _state(name: str, stored: Stored, book: Book, verdict: Verdict) -> None:
    wanted = expected_histograms(book)
    verdict.counted["histograms"] += len(wanted)
    verdict.counted["sales"] += len(book.sales)
    for key in sorted(wanted.keys() | stored.histograms.keys()):
        if wanted.get(key) != stored.histograms.get(key):
            verdict.differs(f"{name}: the histogram of {key!r} is not what was counted")
    for ids in sorted(book.sales):
        if stored.sales.get(ids) != book.sales[ids]:
            verdict.differs(f"{name}: sale {ids} is {stored.sales.get(ids)}, not {book.sales[ids]}")
    if len(stored.entries["SALES"]) != len(book.sales):
        verdict.differs(f"{name}: {len(stored.entries['SALES'])} sales, not {len(book.sales)}")
