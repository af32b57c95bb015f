"""The least that a worker on aiokafka does: read, parse, write one record for each, commit."""

import asyncio
import json
import time

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

_BATCH = 2_000


def bare_per_s(servers: str, topics: list[str], target: str, events: int) -> float:
    """Return the records a second of a bare loop over so many records of the topics."""
    return asyncio.run(_bare(servers, topics, target, events))


async def _bare(servers: str, topics: list[str], target: str, events: int) -> float:
    consumer = AIOKafkaConsumer(
        *topics,
        bootstrap_servers=servers,
        group_id=f"bare-{time.time_ns()}",
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        isolation_level="read_committed",
    )
    producer = AIOKafkaProducer(bootstrap_servers=servers, acks=-1, max_batch_size=256 * 1024)
    await consumer.start()
    await producer.start()
    try:
        done, began = 0, 0.0
        while done < events:
            found = await consumer.getmany(timeout_ms=1_000, max_records=_BATCH)
            records = [record for of_place in found.values() for record in of_place]
            began = began or time.perf_counter()
            sent = []
            for record in records:
                json.loads(record.value)
                sent.append(
                    await producer.send(
                        target, record.value, key=record.key, partition=record.partition
                    )
                )
            await asyncio.gather(*sent)
            await consumer.commit()
            done += len(records)
        return done / (time.perf_counter() - began)
    finally:
        await consumer.stop()
        await producer.stop()
