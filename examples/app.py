"""An app in small: shows sellers what their listings were answered.

    python examples/app.py

Brokers and a prefix of topic names come from the variables that secondsight itself reads.
"""

import os

from confluent_kafka import Consumer

from schemas.cloudevents import decode
from schemas.errors import EventError
from schemas.money import Money
from schemas.suggestion import PriceSuggested, ReuploadRequested
from schemas.topics import PRICE_SUGGESTED, REUPLOAD_REQUESTED

prefix = os.environ.get("SECONDSIGHT_TOPIC_PREFIX", "")
consumer = Consumer(
    {
        "bootstrap.servers": os.environ.get(
            "SECONDSIGHT_KAFKA_BOOTSTRAP_SERVERS", "localhost:9092"
        ),
        "group.id": f"{prefix}app",
        "auto.offset.reset": "earliest",
        "isolation.level": "read_committed",  # otherwise an answer may appear twice
    }
)
consumer.subscribe([prefix + PRICE_SUGGESTED, prefix + REUPLOAD_REQUESTED])
try:
    while True:
        record = consumer.poll(1.0)
        if record is None:
            continue
        if record.error():
            raise SystemExit(record.error())
        try:
            event, _ = decode(
                record.headers(),  # type: ignore[arg-type]  # its own type has texts in it too
                record.value(),
                (PriceSuggested, ReuploadRequested),
            )
        except EventError as error:
            print(f"skipped {record.topic()} at {record.offset()}: {error}", flush=True)
            continue
        if isinstance(event, PriceSuggested):
            price, low, high = (
                Money(amount_minor=minor, currency=event.currency)
                for minor in (event.price_minor, event.low_minor, event.high_minor)
            )
            print(f"{event.listing_id}: ask for {price} ({low} to {high})", flush=True)
        elif isinstance(event, ReuploadRequested):
            print(f"{event.listing_id}: {event.reasons[0].hint}", flush=True)
except KeyboardInterrupt:
    pass
finally:
    consumer.close()
