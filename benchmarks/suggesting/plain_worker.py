"""A suggest worker as most people would write it.

`plain_worker.py SERVERS GROUP SOURCE TARGET BACKBONE BUNDLE`; SOURCE and TARGET are topics.

One message at a time: poll, fetch the photo, decode it with Pillow, run the backbone in eager
torch, then the two networks of the bundle, publish, wait for that, commit the offset. A listing
may be answered twice after a crash, a slow host stops everything, and photos may come from
anywhere.
"""

import json
import sys
from io import BytesIO
from pathlib import Path
from urllib.request import urlopen

import numpy as np
import torch
from confluent_kafka import Consumer, Producer
from PIL import Image

from models.extractors.registry import backbone
from models.pricer import Pricer
from schemas.listing import ListingEnriched


def main() -> None:
    servers, group, source, target, name, bundle = sys.argv[1:]
    consumer = Consumer(
        {
            "bootstrap.servers": servers,
            "group.id": group,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
        }
    )
    consumer.subscribe([source])
    producer = Producer({"bootstrap.servers": servers})
    network = backbone(name)
    module = network.build()
    scaling = network.preprocessing
    mean, std = (torch.tensor(numbers).view(3, 1, 1) for numbers in (scaling.mean, scaling.std))
    heads = Pricer.load(Path(bundle))
    while True:
        message = consumer.poll(1.0)
        if message is None or message.error():
            continue
        listing = ListingEnriched.model_validate_json(message.value() or b"")
        with urlopen(listing.images[0].uri) as answer:  # noqa: S310 - what a plain worker does
            image = Image.open(BytesIO(answer.read())).convert("RGB")
        resized = image.resize((scaling.size, scaling.size), Image.Resampling.BICUBIC)
        pixels = torch.from_numpy(np.array(resized)).permute(2, 0, 1).float()
        with torch.no_grad():
            features = module(((pixels - mean) / std).unsqueeze(0))
        (estimate,) = heads.estimate(features.numpy(), [listing.statistics], [listing.category])
        fields = {
            "listing_id": listing.listing_id,
            "confidence": estimate.confidence,
            "price_minor": estimate.price_minor if estimate.qualified else None,
        }
        producer.produce(target, json.dumps(fields), listing.seller_id)
        producer.flush()
        consumer.commit(message=message, asynchronous=False)


if __name__ == "__main__":
    main()
