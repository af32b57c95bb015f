"""The statistics on Quix Streams, exactly once: `quix_topology.py SERVERS GROUP TOPIC FOLDER`.

Runs in an environment of its own (requirements-quix.txt). A histogram is one entry of the state
per bucket and one for count and sum: rewriting a whole histogram of a category as JSON at each
sale takes several times as long. With one partition `group_by` makes no repartition topic.
"""

# mypy: ignore-errors
import sys

from quixstreams import Application


def count(price: int, state: object) -> None:
    bits = max(0, price.bit_length() - 8)
    bucket = str(128 * bits + (price >> bits))
    state.set(bucket, state.get(bucket, 0) + 1)
    number, total = state.get("sums", (0, 0))
    state.set("sums", (number + 1, total + price))


def main() -> None:
    servers, group, topic, folder = sys.argv[1:]
    app = Application(
        broker_address=servers,
        consumer_group=group,
        auto_offset_reset="earliest",
        processing_guarantee="exactly-once",
        commit_interval=1.0,  # a fifth of its default, so that the last commit is not waited for
        state_dir=folder,
        loglevel="WARNING",
        consumer_extra_config={"fetch.queue.backoff.ms": 5},
    )
    sales = app.dataframe(app.topic(topic, key_deserializer="str", value_deserializer="json"))
    of_seller = sales.apply(lambda sale: sale["price_minor"])
    of_seller.update(count, stateful=True)
    few = sales[["category", "currency", "price_minor"]]
    for column, name in (("category", "category"), ("currency", "global")):
        grouped = few.group_by(column, name=name)
        grouped.apply(lambda sale: sale["price_minor"]).update(count, stateful=True)
    app.run()


if __name__ == "__main__":
    main()
