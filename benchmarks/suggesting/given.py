"""The answers that workers gave, and whether two workers gave the same."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from benchmarks.peers.checking import records
from schemas.topics import PRICE_SUGGESTED, REUPLOAD_REQUESTED

PRICES_AGREE = 0.01  # sums in another order differ in the sixth digit, other pixels by per cents

Fields = Mapping[str, Any]


def given(servers: str, prefix: str) -> Iterator[Fields]:
    """Yield the committed answers under a prefix, each as its JSON object."""
    for topic in (PRICE_SUGGESTED, REUPLOAD_REQUESTED):
        for message in records(servers, prefix + topic):
            yield json.loads(message.value() or b"")


def check_equal(ours: Mapping[str, Fields], plain: Mapping[str, Fields]) -> None:
    """Compare the plain worker's answers with ours to the same listings.

    Both give a confidence, whether a price comes with it or not; where both give a price it has
    to be the same within PRICES_AGREE. A photo in which ours found a fault has no confidence.

    Raises:
        SystemExit: they differ, or there is too little to compare, and so the rate means nothing.
    """
    priced = 0
    for name, theirs in plain.items():
        if (confidence := ours[name].get("confidence")) is None:
            continue
        one, other = ours[name].get("price_minor"), theirs.get("price_minor")
        same = abs(confidence - theirs["confidence"]) <= PRICES_AGREE
        if one is not None and other is not None:
            same &= abs(one - other) <= max(1, PRICES_AGREE * one)
            priced += 1
        if not same:
            raise SystemExit(f"the plain worker answers {theirs}, ours {ours[name]}")
    if priced < len(plain) / 10:
        raise SystemExit(f"only {priced} of {len(plain)} listings were priced by both workers")
