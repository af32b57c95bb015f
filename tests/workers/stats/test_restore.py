"""Where a worker without state takes it from, on a real broker, against a recount."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)

from stats_store.scope import ScopeKey

MakeSystem = Callable[[int], Any]
NEVER_MS = "86400000"
DEADLINE_S = 60.0


class Shop:
    """Sales of one seller in one currency, and listings that show their statistics."""

    def __init__(self, system: Any, events: Any) -> None:
        self._system, self._events = system, events
        self.prices: list[int] = []
        self.listings = 0

    def sell(self, count: int) -> None:
        first = len(self.prices)
        new = [1_000 + 13 * number for number in range(first, first + count)]
        self._system.publish(
            "transactions",
            *(self._events.sale(first + n, first + n, price) for n, price in enumerate(new)),
        )
        self.prices += new

    def check(self) -> None:
        """A new listing shows every sale so far, once."""
        self.listings += 1
        self._system.publish(
            "listing.created", self._events.listing(f"new{self.listings}", 10_000 + self.listings)
        )
        shown = self._system.enriched(self.listings)[-1].statistics
        count, total = len(self.prices), sum(self.prices)
        for scope in (shown.seller, shown.category, shown.overall):
            assert (scope.count, scope.mean) == (count, (2 * total + count) // (2 * count))


def manifests(folder: Path) -> list[dict[str, Any]]:
    """Every published manifest, the oldest first."""
    found = [json.loads(file.read_text()) for file in folder.rglob("manifest.json")]
    return sorted(found, key=lambda each: int(each["position"]))


@pytest.fixture
def shop(make_system: MakeSystem, events: Any) -> tuple[Any, Shop]:
    system = make_system(1)
    return system, Shop(system, events)


def ship_a_checkpoint(system: Any, shop: Shop, url: Path) -> int:
    """Have a worker ship all of 300 sales, and kill it; return the checkpoint's position."""
    worker = system.start(
        data="first", SECONDSIGHT_CHECKPOINT_URL=str(url), SECONDSIGHT_CHECKPOINT_INTERVAL_MS="1000"
    )
    shop.sell(300)
    shop.check()
    records = system.read("stats.changelog")
    end = records[-1].offset() + 1
    system.until(
        lambda: any(each["position"] >= end for each in manifests(url)), "no checkpoint was made"
    )
    worker.kill()
    return int(manifests(url)[-1]["position"])


def test_the_nearest_of_changelog_and_checkpoints_is_restored_from(
    shop: tuple[Any, Shop], tmp_path: Path
) -> None:
    system, sales = shop
    url = tmp_path / "checkpoints"
    checkpoint = ship_a_checkpoint(system, sales, url)
    settings = {
        "SECONDSIGHT_CHECKPOINT_URL": str(url),
        "SECONDSIGHT_CHECKPOINT_INTERVAL_MS": NEVER_MS,
        "SECONDSIGHT_HEALTH_PORT": "0",
    }
    worker = system.start(data="first", **settings)
    sales.sell(50)
    sales.check()
    assert system.metric(0, "checkpoints_total", outcome="fetched") == 0  # its own is as near
    worker.kill()

    worker = system.start(data="second", **settings)
    sales.check()
    changelog = system.read("stats.changelog")
    after = [record for record in changelog if record.offset() >= checkpoint]
    assert 0 < len(after) < len(changelog)
    assert system.metric(1, "checkpoints_total", outcome="fetched") == 1
    # The listing of this worker's own is in the changelog, too, and was not restored.
    restored = system.metric(1, "restored_records_total")
    assert 0 < restored < len(after)
    assert system.metric(1, "restore_share", partition="0", source="changelog") == 1
    assert system.metric(1, "restore_share", partition="0", source="checkpoint") == 1
    worker.kill()

    for table in url.rglob("*.sst"):
        table.write_bytes(table.read_bytes()[:-1] + b"?")
    system.start(data="third", **settings)
    sales.check()
    assert system.metric(2, "checkpoints_total", outcome="refused") >= 1
    assert system.metric(2, "checkpoints_total", outcome="fetched") == 0
    assert system.metric(2, "restored_records_total") >= len(changelog) - len(after)


def test_what_was_deleted_from_the_changelog_is_refused_unless_a_checkpoint_has_it(
    shop: tuple[Any, Shop], tmp_path: Path, kafka: str
) -> None:
    system, sales = shop
    url = tmp_path / "checkpoints"
    checkpoint = ship_a_checkpoint(system, sales, url)
    topic = f"{system.prefix}stats.changelog"
    admin = AdminClient({"bootstrap.servers": kafka})
    config = ConfigResource(
        ResourceType.TOPIC,
        topic,
        incremental_configs=[
            ConfigEntry("cleanup.policy", "delete", incremental_operation=AlterConfigOpType.SET)
        ],
    )
    for changed in admin.incremental_alter_configs([config]).values():
        changed.result(DEADLINE_S)
    gone = TopicPartition(topic, 0, checkpoint)
    for deleted in admin.delete_records([gone]).values():
        deleted.result(DEADLINE_S)

    refused = system.start(data="second")
    assert refused.wait() == 3
    assert "were deleted" in refused.logged()
    assert "SECONDSIGHT_CHECKPOINT_URL" in refused.logged()
    system.start(data="second", SECONDSIGHT_CHECKPOINT_URL=str(url))
    sales.sell(20)
    sales.check()


def test_a_worker_is_ready_once_all_of_the_changelog_is_read(
    shop: tuple[Any, Shop], kafka: str
) -> None:
    system, sales = shop
    first = system.start(data="first")
    sales.sell(100)
    sales.check()
    assert first.stop() == 0
    # A predecessor's transaction that may yet be committed: the end is not known before it ends.
    producer = Producer(
        {
            "bootstrap.servers": kafka,
            "transactional.id": f"{system.prefix}predecessor",
            "transaction.timeout.ms": 300_000,
        }
    )
    producer.init_transactions(DEADLINE_S)
    producer.begin_transaction()
    producer.produce(f"{system.prefix}stats.changelog", b"value", b"hkey", partition=0)
    assert producer.flush(DEADLINE_S) == 0

    system.start(data="second", SECONDSIGHT_HEALTH_PORT="0")

    def share() -> float:
        read = system.metric(0, "restore_share", partition="0", source="changelog")
        return float(read or 0)

    system.until(lambda: share() > 0, "nothing is restored")
    assert share() < 1
    assert system.metric(0, "restore_left", partition="0", source="changelog") > 0
    assert system.asked(0, "/readyz")[0] == 503
    producer.abort_transaction(DEADLINE_S)
    system.until(lambda: system.asked(0, "/readyz")[0] == 200, "it never was ready")
    assert share() == 1
    sales.check()


def test_what_a_checkpoint_holds_is_what_the_store_held(
    shop: tuple[Any, Shop], tmp_path: Path, stores: Any
) -> None:
    system, sales = shop
    ship_a_checkpoint(system, sales, tmp_path / "checkpoints")
    newest = max((tmp_path / "checkpoints").rglob("manifest.json"))
    newest.unlink()
    copy = stores.open_at(newest.parent, 0)
    seller = copy.histogram(ScopeKey.seller("GBP", "ann"))
    assert (seller.count, seller.sum) == (len(sales.prices), sum(sales.prices))
    assert len(copy.sales_of("sold7")) == 1
    copy.close()
