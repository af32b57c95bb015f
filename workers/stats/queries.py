"""What a stats worker answers to questions over HTTP: statistics as of the last commit."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any
from urllib.parse import SplitResult, parse_qs, unquote

from pydantic import TypeAdapter, ValidationError

from schemas.base import Category, Id
from schemas.money import Currency
from schemas.partitioner import partition_for
from schemas.statistics import Scope
from schemas.topics import LISTING_CREATED, TRANSACTIONS
from stats_store.errors import StatsStoreError
from stats_store.histogram import PriceHistogram
from stats_store.partials import PartsOfOthers
from stats_store.scope import ScopeKey
from stats_store.store import PartitionStore
from stats_store.summary import Summary, buckets_of
from workers.errors import WorkersError
from workers.runtime.health import Answer
from workers.stats.owners import Owners
from workers.stats.readers import OwnStores

PREFIX = "/stats/"

_INPUTS = (TRANSACTIONS, LISTING_CREATED)
_SOON = {"Retry-After": "1"}  # seconds; a store is opened and restored in about that time
_NAMES: Mapping[Scope, TypeAdapter[str]] = {
    Scope.SELLER: TypeAdapter(Id),
    Scope.CATEGORY: TypeAdapter(Category),
}
_CURRENCY: TypeAdapter[str] = TypeAdapter(Currency)
_NOBODY = -1  # no partition: the parts of all of them


class _WrongQuestionError(ValueError):
    """The path or a parameter makes no sense."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Queries:
    """Answers `/stats/seller/ID`, `/stats/category/PATH` and `/stats/global`.

    `currency` is needed, `buckets=1` adds the histogram's buckets. A seller of another
    partition is answered with the address of the worker that holds it.

    Safe to use from several threads.

    Args:
        stores: this worker's.
        partials: what all partitions have published.
        owners: who holds the other partitions.
        partitions: how many there are in all.
        address: under which this worker announces itself, None where it does not.
    """

    def __init__(
        self,
        *,
        stores: OwnStores,
        partials: PartsOfOthers,
        owners: Owners,
        partitions: int,
        address: str | None,
    ) -> None:
        self._stores = stores
        self._partials = partials
        self._owners = owners
        self._partitions = partitions
        self._address = address

    def __call__(self, target: SplitResult) -> Answer:
        """Answer a GET of a path that begins with `PREFIX`."""
        try:
            key, with_buckets = _question(target)
            if key.scope is Scope.SELLER:
                return self._seller(key, with_buckets, target)
            return self._wide(key, with_buckets)
        except _WrongQuestionError as error:
            return _json(error.status, {"error": str(error)})
        except (StatsStoreError, WorkersError) as error:
            return _json(503, {"error": str(error)}, _SOON)

    def _seller(self, key: ScopeKey, with_buckets: bool, target: SplitResult) -> Answer:
        partition = partition_for(key.name.encode(), self._partitions)
        if partition not in self._stores.partitions():
            return self._elsewhere(partition, target)
        histogram, state = self._stores.read(partition, lambda store: _read(store, key))
        body = {
            **_named(key),
            "partition": partition,
            "partitions": self._partitions,
            "statistics": _numbers(histogram, with_buckets),
            "state": state,
        }
        return _json(200, body)

    def _wide(self, key: ScopeKey, with_buckets: bool) -> Answer:
        """Answer with what this worker has counted, and with what all have published."""
        own = self._stores.partitions()
        here, states = PriceHistogram(), []
        everywhere = PriceHistogram()
        for partition in own:
            part, state = self._stores.read(partition, lambda store: _read(store, key))
            here.merge(part)
            states.append(state)
            if partition == own[0]:
                everywhere.merge(part)
        published = self._partials.total(key, without=own[0] if own else _NOBODY)
        if published is not None:
            everywhere.merge(published)
        body = {
            **_named(key),
            "partitions": self._partitions,
            "here": {"statistics": _numbers(here, with_buckets), "state": states},
            "everywhere": {"statistics": _numbers(everywhere, with_buckets)},
        }
        return _json(200, body)

    def _elsewhere(self, partition: int, target: SplitResult) -> Answer:
        owner = self._owners.of(partition)
        where: dict[str, Any] = {"partition": partition, "partitions": self._partitions}
        if owner is None:
            error = f"partition {partition} is being handed over"
            return _json(503, where | {"error": error}, _SOON)
        where["owner"] = asdict(owner)
        if owner.address is None:
            error = f"partition {partition} is held by another worker, which announces no address"
            return _json(404, where | {"error": error})
        if owner.address == self._address:
            error = f"partition {partition} is being restored here"
            return _json(503, where | {"error": error}, _SOON)
        location = f"http://{owner.address}{target.path}?{target.query}"
        error = f"partition {partition} is held by the worker at {owner.address}"
        return _json(307, where | {"error": error}, {"Location": location})


def _question(target: SplitResult) -> tuple[ScopeKey, bool]:
    """Read a target.

    Raises:
        _WrongQuestionError: it is none of ours.
    """
    kind, slash, name = target.path.removeprefix(PREFIX).partition("/")
    scope = {"seller": Scope.SELLER, "category": Scope.CATEGORY, "global": Scope.GLOBAL}.get(kind)
    if scope is None or bool(slash) is (scope is Scope.GLOBAL):
        raise _WrongQuestionError(
            404, "there are /stats/seller/ID, /stats/category/PATH and /stats/global"
        )
    try:
        named = _NAMES[scope].validate_python(unquote(name, errors="strict")) if name else ""
    except (ValidationError, UnicodeDecodeError):
        raise _WrongQuestionError(400, f"what is asked for is not the name of a {kind}") from None
    if bool(named) is (scope is Scope.GLOBAL):
        raise _WrongQuestionError(400, f"the name of the {kind} is missing")
    try:
        parameters = parse_qs(target.query, keep_blank_values=True, max_num_fields=8)
        currency = _CURRENCY.validate_python(" ".join(parameters.get("currency", [])))
    except ValueError:
        raise _WrongQuestionError(
            400, "say in which currency, by its ISO 4217 code: ?currency=GBP"
        ) from None
    buckets = parameters.get("buckets", ["0"])
    if buckets not in (["0"], ["1"]):
        raise _WrongQuestionError(400, "buckets is 0 or 1")
    return ScopeKey(scope, currency, named), buckets == ["1"]


def _read(store: PartitionStore, key: ScopeKey) -> tuple[PriceHistogram, dict[str, Any]]:
    positions = {topic: store.position(topic) for topic in _INPUTS}
    state = {
        "partition": store.partition,
        "changelog_position": store.changelog_position,
        "positions": {topic: at for topic, at in positions.items() if at is not None},
    }
    return store.histogram(key) or PriceHistogram(), state


def _named(key: ScopeKey) -> dict[str, Any]:
    return {"scope": key.scope.value, "name": key.name, "currency": key.currency}


def _numbers(histogram: PriceHistogram, with_buckets: bool) -> dict[str, Any]:
    numbers: dict[str, Any] = asdict(Summary.of(histogram))
    if with_buckets:
        numbers["buckets"] = [
            [bucket.lowest, bucket.highest, bucket.count] for bucket in buckets_of(histogram)
        ]
    return numbers


def _json(status: int, body: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> Answer:
    return Answer(status, "application/json", json.dumps(body).encode() + b"\n", headers or {})
