"""A listing service in small: publishes one listing with the photos named on the command line.

    python examples/listing_service.py --seller s-7 --category "Clothing > Shoes" shoe.jpg

Brokers and a prefix of topic names come from the variables that secondsight itself reads. The
suggest worker must be allowed to read the photos: SECONDSIGHT_IMAGE_FILE_ROOTS.
"""

import argparse
import os
import uuid
from datetime import UTC, datetime
from pathlib import Path

from confluent_kafka import Producer

from schemas.cloudevents import encode
from schemas.image import ImageReference
from schemas.listing import ListingCreated
from schemas.topics import LISTING_CREATED

parser = argparse.ArgumentParser()
parser.add_argument("photos", nargs="+", type=Path, help="the main one first")
parser.add_argument("--seller", default="s-1")
parser.add_argument("--category", default="Clothing > Shoes")
parser.add_argument("--currency", default="GBP")
asked = parser.parse_args()

now = datetime.now(UTC)
listing = ListingCreated(
    listing_id=f"l-{uuid.uuid4()}",
    seller_id=asked.seller,
    category=asked.category,
    currency=asked.currency,
    images=tuple(ImageReference(uri=photo.resolve().as_uri()) for photo in asked.photos),
    listed_at=now,
)
producer = Producer(
    {
        "bootstrap.servers": os.environ.get(
            "SECONDSIGHT_KAFKA_BOOTSTRAP_SERVERS", "localhost:9092"
        ),
        "partitioner": "murmur2_random",  # as in Java, so that a seller has one partition
        "enable.idempotence": True,
    }
)
producer.produce(
    os.environ.get("SECONDSIGHT_TOPIC_PREFIX", "") + LISTING_CREATED,
    listing.to_bytes(),
    listing.seller_id.encode(),
    headers=list(
        encode(listing, event_id=listing.listing_id, source="/examples/listings", time=now)
    ),
)
if producer.flush(30):
    raise SystemExit("Kafka did not take the listing")
print(listing.listing_id)
