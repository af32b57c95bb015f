"""Input records and group offsets that were deleted under a worker."""

from collections.abc import Callable
from typing import Any

from confluent_kafka import ConsumerGroupTopicPartitions, TopicPartition
from confluent_kafka.admin import AdminClient

from tests.torture.cluster import Cluster
from tests.torture.recount import Entry
from tests.torture.stream import LISTINGS, TRANSACTIONS
from tests.torture.verdict import CHANGELOG

BAD_DATA = 3
DEADLINE_S = 30.0


def delete_before(cluster: Cluster, topic: str, offset: int) -> None:
    """Delete the records of partition 0 before an offset, as a retention does."""
    place = TopicPartition(cluster.prefix + topic, 0, offset)
    admin = cluster.admin()
    admin.delete_records([place])[place].result(DEADLINE_S)


def delete_group_offsets(cluster: Cluster) -> None:
    admin = cluster.admin()
    admin.delete_consumer_groups([cluster.group])[cluster.group].result(DEADLINE_S)


def changelog(cluster: Cluster) -> list[Entry]:
    return cluster.read(CHANGELOG)


def test_group_offsets_that_were_deleted_do_not_count_anything_again(
    make_scene: Callable[..., Any],
) -> None:
    scene = make_scene()
    # The state says where to go on; and where the folder is lost too, its changelog does.
    for folder in ("a", "a", "b"):
        scene.crew.start(folder)
        scene.publish(100)
        scene.counted()
        scene.crew.stop()
        delete_group_offsets(scene.cluster)
    scene.crew.start("a")
    scene.is_as_counted()


def test_records_deleted_after_they_were_counted_are_not_missed(
    make_scene: Callable[..., Any],
) -> None:
    scene = make_scene()
    scene.crew.start("a")
    scene.publish(200)
    before = scene.counted()
    scene.crew.stop()
    kept = changelog(scene.cluster)
    ends = scene.cluster.ends(scene.cluster.places(TRANSACTIONS, LISTINGS), committed=True)
    for (topic, _), end in ends.items():
        delete_before(scene.cluster, topic, end)
    again = scene.crew.start("a")
    scene.crew.until(lambda: again.has_logged("partition started"), "a start")
    scene.crew.stop()
    assert changelog(scene.cluster) == kept  # and what they were counted to is still there
    assert before.books[0].sales


def test_records_deleted_before_they_were_counted_stop_the_worker_until_that_is_accepted(
    make_scene: Callable[..., Any],
) -> None:
    scene = make_scene()
    scene.crew.start("a")
    scene.publish(100)
    scene.counted()
    scene.crew.stop()
    counted = scene.cluster.positions([(TRANSACTIONS, 0)])[TRANSACTIONS, 0]
    kept = changelog(scene.cluster)
    scene.publish(100)
    end = scene.cluster.ends([(TRANSACTIONS, 0)], committed=True)[TRANSACTIONS, 0]
    first = (counted + end) // 2
    assert counted < first < end
    delete_before(scene.cluster, TRANSACTIONS, first)

    refused = scene.crew.start("a")
    assert refused.wait() == BAD_DATA
    words = refused.last_words()
    assert f"{first - counted} records" in words
    assert "--reset-offsets" in words
    assert changelog(scene.cluster) == kept

    place = TopicPartition(scene.cluster.prefix + TRANSACTIONS, 0, first)
    request = ConsumerGroupTopicPartitions(scene.cluster.group, [place])
    admin: AdminClient = scene.cluster.admin()
    admin.alter_consumer_group_offsets([request])[scene.cluster.group].result(DEADLINE_S)
    scene.crew.start("a")
    scene.counted()
    scene.crew.stop()
    (position,) = scene.cluster.positions([(TRANSACTIONS, 0)]).values()
    assert position == end
    assert len(changelog(scene.cluster)) > len(kept)
