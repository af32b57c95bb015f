"""The surroundings of a suggest worker: photos on a web server, a model, listings in Kafka."""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from confluent_kafka import Producer
from PIL import Image

from benchmarks.peers.measure import start
from benchmarks.peers.runs import say, worker_environment
from benchmarks.suggesting.photo_host import photo_host
from models.dataset.reader import read_dataset
from models.extractors.devices import choose_device
from models.extractors.registry import backbone
from models.head_training import Objective
from models.pricer import Pricer
from models.training import train_bundle
from schemas.cloudevents import encode
from schemas.image import ImageReference
from schemas.listing import ListingCreated, ListingEnriched
from schemas.topics import LISTING_CREATED, LISTING_ENRICHED
from simulator.market import simulate
from workers.local.ports import LOOPBACK
from workers.topics import create_topics

START = datetime(2026, 1, 1, tzinfo=UTC)
BACKBONE = "lite2"
PHOTO_SIZE = (640, 480)
SELLERS = 100


@dataclass(frozen=True)
class Scene:
    """A broker, a model and photos.

    Attributes:
        servers: the broker's address.
        folder: for what workers store.
        bundle: the folder of the model.
        device: where the image networks run, as the worker is told.
        pricer: the model, on that device or on all cores.
        photos: files, all of PHOTO_SIZE.
        categories: of the things on them, by which the model knows what they sold for.
        host_port: of the web server on loopback that has them.
    """

    servers: str
    folder: Path
    bundle: Path
    device: str
    pricer: Pricer
    photos: Sequence[Path]
    categories: Sequence[str]
    host_port: int

    def make_topics(self, prefix: str) -> None:
        """Make the topics of our contract under a prefix, with one partition each."""
        create_topics(
            {"bootstrap.servers": self.servers},
            prefix=prefix,
            partitions=1,
            replication_factor=1,
            keep_all=True,
        )

    def publish(self, prefix: str, first: int, end: int) -> None:
        """Write the enriched listings `first` to `end - 1`, named `l0`, `l1`, ...."""
        producer = Producer({"bootstrap.servers": self.servers})
        for number in range(first, end):
            moment = START + timedelta(seconds=number)
            event = self._enriched(f"l{number}", number, moment)
            self._send(producer, prefix + LISTING_ENRICHED, event)
        producer.flush()

    def send_enriched(self, producer: Producer, prefix: str, name: str, number: int) -> None:
        """Give a producer an enriched listing of this moment with the photo of a number."""
        event = self._enriched(name, number, datetime.now(UTC))
        self._send(producer, prefix + LISTING_ENRICHED, event)
        producer.poll(0)

    def send_created(self, producer: Producer, prefix: str, name: str, number: int) -> None:
        """Give a producer a listing of this moment with the photo of a number."""
        listing = self.created(name, number, datetime.now(UTC))
        self._send(producer, prefix + LISTING_CREATED, listing)
        producer.poll(0)

    def _enriched(self, name: str, number: int, moment: datetime) -> ListingEnriched:
        listing = self.created(name, number, moment)
        statistics = self.pricer.snapshot_statistics(listing.category)
        return ListingEnriched(**dict(listing), statistics=statistics)

    def created(self, name: str, number: int, moment: datetime) -> ListingCreated:
        """Return a listing with the photo of a number; photos come round again."""
        at = number % len(self.photos)
        uri = f"http://{LOOPBACK}:{self.host_port}/{self.photos[at].name}"
        return ListingCreated(
            listing_id=name,
            seller_id=f"seller-{number % SELLERS}",
            category=self.categories[at],
            currency=self.pricer.currency,
            images=(ImageReference(uri=uri),),
            listed_at=moment,
        )

    def start_worker(self, kind: str, prefix: str, **settings: str) -> "subprocess.Popen[bytes]":
        """Start a worker of ours, as it is installed, under a prefix.

        Args:
            kind: "suggest" or "stats".
            prefix: of the topics.
            settings: besides those that are needed, by the names of settings.
        """
        needed = {
            "bundle": str(self.bundle),
            "suggest_device": self.device,
            "image_hosts": LOOPBACK,
            "image_ports": str(self.host_port),
            "image_private_networks_allowed": "true",
        }
        state = self.folder / f"{prefix}state"
        return start(
            [sys.executable, "-m", "workers.cli.main", kind],
            environment=worker_environment(self.servers, prefix, state, **needed, **settings),
        )

    @staticmethod
    def _send(producer: Producer, topic: str, event: ListingCreated) -> None:
        producer.produce(
            topic,
            event.to_bytes(),
            event.seller_id,
            partition=0,
            headers=[
                *encode(event, event_id=event.listing_id, source="/bench", time=event.listed_at)
            ],
        )


def suggest_group(prefix: str) -> str:
    """Return the group of the suggest workers under a prefix."""
    return f"{prefix}secondsight-suggest"


@contextmanager
def scene(
    servers: str, folder: Path, *, listings: int, bundle: Path | None, device: str
) -> Iterator[Scene]:
    """Simulate photos, train a small bundle on them unless one is given, and serve them.

    Args:
        servers: the broker's address.
        folder: for all of it.
        listings: how many are simulated, half of them with photos of PHOTO_SIZE.
        bundle: a folder, for a model of one's own; its backbone has to be BACKBONE where the
            plain worker is to give the same answers.
        device: where the image networks run, as in SECONDSIGHT_SUGGEST_DEVICE.
    """
    say(f"Simulating {listings} listings with photos")
    simulate(folder / "market", listings=listings, fault_share=0.0)
    dataset = read_dataset(folder / "market")
    if bundle is None:
        say("Training a bundle on them")
        bundle = folder / "bundle"
        train_bundle(dataset, bundle, backbone=backbone(BACKBONE), objective=Objective())
    shown = [
        (image, listing.category or "")
        for listing in dataset.listings
        for image in listing.images
        if _size(image) == PHOTO_SIZE
    ]
    photos, categories = zip(*shown, strict=True)
    with photo_host(folder / "market" / "images") as port:
        pricer = Pricer.load(bundle, device=choose_device(device))
        yield Scene(servers, folder, bundle, device, pricer, photos, categories, port)


def _size(photo: Path) -> tuple[int, int]:
    with Image.open(photo) as image:
        return image.size
