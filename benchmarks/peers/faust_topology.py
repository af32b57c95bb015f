"""The statistics of sellers on Faust: `SERVERS, GROUP, TOPIC and FOLDER` are in the environment.

Runs in an environment of its own (requirements-faust.txt). Its best case: no category and no
global scope, state in RocksDB, each sale at least once.
"""

# mypy: ignore-errors
import os

import faust

app = faust.App(
    os.environ["PEER_GROUP"],
    broker=f"kafka://{os.environ['PEER_SERVERS']}",
    store="rocksdb://?driver=rocksdict",
    datadir=os.environ["PEER_FOLDER"],
    topic_partitions=1,
    topic_replication_factor=1,
    broker_commit_interval=1.0,
    stream_wait_empty=False,
    web_enabled=False,
)
sales = app.topic(os.environ["PEER_TOPIC"], key_serializer="raw", value_serializer="json")
sellers = app.Table("seller", partitions=1)


@app.agent(sales)
async def count(stream) -> None:
    async for sale in stream:
        price = sale["price_minor"]
        bits = max(0, price.bit_length() - 8)
        bucket = str(128 * bits + (price >> bits))
        number, total, buckets = sellers.get(sale["seller_id"], (0, 0, {}))
        buckets[bucket] = buckets.get(bucket, 0) + 1
        sellers[sale["seller_id"]] = (number + 1, total + price, buckets)


if __name__ == "__main__":
    app.main()
