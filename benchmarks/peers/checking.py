"""What a peer has counted, read from the changelogs of its state, beside what it should have."""

import json
import struct
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import cast

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from benchmarks.peers.sales import CURRENCY, Counted, Histogram
from schemas.dead_letter import DeadLetter, Headers
from stats_store.encoding import decode
from stats_store.histogram import PriceHistogram
from stats_store.scope import ScopeKey
from stats_store.store import PartitionStore

_TIMEOUT_S = 60.0  # without a record


def last_values(servers: str, topic: str) -> dict[bytes, bytes]:
    """Return the last committed value of each key of partition 0 of a topic.

    Raises:
        KafkaException: the topic cannot be read.
    """
    latest: dict[bytes, bytes] = {}
    for message in records(servers, topic):
        key, value = message.key() or b"", message.value()
        if value is None:
            latest.pop(key, None)
        else:
            latest[key] = value
    return latest


def check_dead_letters(servers: str, topic: str, expected: int) -> None:
    """Compare the records that were set aside with how many were bad.

    Raises:
        SystemExit: there are more or fewer, or one was set aside twice.
    """
    letters = [
        DeadLetter.from_headers(cast(Headers, message.headers()))
        for message in records(servers, topic)
    ]
    places = {(letter.topic, letter.partition, letter.offset) for letter in letters}
    if not len(places) == len(letters) == expected:
        raise SystemExit(
            f"{topic} has {len(letters):,} records of {len(places):,} places, not {expected:,}"
        )


def records(servers: str, topic: str) -> Iterator[Message]:
    """Yield the committed records of partition 0 of a topic to its end.

    Raises:
        KafkaException: the topic cannot be read.
    """
    consumer = Consumer(
        {
            "bootstrap.servers": servers,
            "group.id": "benchmark-check",
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
            "enable.auto.commit": False,
            "fetch.queue.backoff.ms": 5,
        }
    )
    consumer.assign([TopicPartition(topic, 0, 0)])
    deadline = time.monotonic() + _TIMEOUT_S
    try:
        while True:
            messages = consumer.consume(10_000, 0.2)
            if messages:
                deadline = time.monotonic() + _TIMEOUT_S
            elif time.monotonic() > deadline:
                raise SystemExit(f"{topic} has no end")
            for message in messages:
                if (error := message.error()) is None:
                    yield message
                elif error.code() == KafkaError._PARTITION_EOF:
                    return
                else:
                    raise KafkaException(error)
    finally:
        consumer.close()


def read_java(servers: str, application: str) -> Counted:
    """Return what a topology in Java has counted; for the form see `Histogram.java`."""

    def histogram(value: bytes) -> Histogram:
        count, total = struct.unpack_from(">iq", value)
        return count, total, dict(struct.iter_unpack(">hi", value[12:]))

    return {
        scope: {
            key.decode(): histogram(value)
            for key, value in last_values(servers, f"{application}-{scope}-changelog").items()
        }
        for scope in ("seller", "category", "global")
    }


def read_quix(servers: str, group: str, topic: str) -> Counted:
    """Return what the topology on Quix Streams has counted: an entry of the state a bucket."""

    def histograms(store: str) -> dict[str, Histogram]:
        sums: dict[str, tuple[int, int]] = {}
        buckets: dict[str, dict[int, int]] = {}
        for key, value in last_values(servers, f"changelog__{group}--{topic}--{store}").items():
            prefix, _, name = key.rpartition(b"|")
            scope_key, entry = json.loads(prefix), json.loads(name)
            if entry == "sums":
                sums[scope_key] = tuple(json.loads(value))
            else:
                buckets.setdefault(scope_key, {})[int(entry)] = json.loads(value)
        return {key: (*sums[key], buckets[key]) for key in sums}

    return {
        "seller": histograms("default"),
        "category": histograms("groupby--category--default"),
        "global": histograms("groupby--global--default"),
    }


def read_faust(servers: str, group: str) -> Counted:
    """Return what the topology on Faust has counted."""
    found = {}
    for key, value in last_values(servers, f"{group}-seller-changelog").items():
        count, total, buckets = json.loads(value)
        found[json.loads(key)] = count, total, {int(b): n for b, n in buckets.items()}
    return {"seller": found}


def read_ours(store: PartitionStore, expected: Counted) -> Counted:
    """Return what a store of ours has of every key that is expected."""
    keys: dict[str, Callable[[str], ScopeKey]] = {
        "seller": partial(ScopeKey.seller, CURRENCY),
        "category": partial(ScopeKey.category, CURRENCY),
        "global": ScopeKey.overall,
    }
    found: Counted = {}
    for scope, entries in expected.items():
        histograms = {key: store.histogram(keys[scope](key)) for key in entries}
        found[scope] = {
            key: _plain(histogram) for key, histogram in histograms.items() if histogram is not None
        }
    return found


def _plain(histogram: PriceHistogram) -> Histogram:
    counts, count, total = decode(histogram.to_bytes())
    buckets, numbers = counts.arrays()
    return count, total, dict(zip(buckets.tolist(), numbers.tolist(), strict=True))


def check(
    name: str, read: Callable[[], Counted], expected: Counted, *, scopes: tuple[str, ...]
) -> None:
    """Compare what a peer has counted with what it should have.

    Raises:
        SystemExit: they differ, and so its rate means nothing.
    """
    found = read()
    for scope in scopes:
        if found[scope] == expected[scope]:
            continue
        wrong = [
            key
            for key in expected[scope].keys() | found[scope].keys()
            if expected[scope].get(key) != found[scope].get(key)
        ]
        raise SystemExit(
            f"{name} has counted wrongly: {len(wrong):,} of {len(expected[scope]):,} keys of "
            f"{scope}, such as {wrong[0]!r}: {found[scope].get(wrong[0])} instead of "
            f"{expected[scope].get(wrong[0])}"
        )
