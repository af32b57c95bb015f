"""The suggest worker as a process: the model, the photos' sources and the loop wired together."""

from models.errors import ModelsError
from models.images.limits import ImageLimits
from models.pricer import Pricer
from schemas.topics import LISTING_ENRICHED, PRICE_SUGGESTED, REUPLOAD_REQUESTED
from stats_store.errors import StatsStoreError
from workers.errors import ConfigurationError
from workers.runtime.cluster import co_partitions
from workers.runtime.metrics import RoutingMetrics, SuggestMetrics, new_registry
from workers.runtime.routing import SellerRouter
from workers.runtime.service import client_options, run_worker
from workers.runtime.settings import Settings
from workers.suggest.allow_list import AllowList
from workers.suggest.fetch import Fetcher
from workers.suggest.file_roots import FileRoots
from workers.suggest.processor import SuggestProcessor
from workers.suggest.web import WebPhotos


def run_suggest(settings: Settings) -> None:
    """Answer listings until SIGTERM or SIGINT.

    Raises:
        ConfigurationError: no bundle or no Kafka is named, or the topics do not fit together.
        BundleError: the bundle is not whole.
        WorkersError: see `workers.runtime.loop.TransactionalLoop.run`.
        KafkaException: the cluster cannot be reached, or a client failed for good.
    """
    if settings.bundle is None:
        raise ConfigurationError(
            "SECONDSIGHT_BUNDLE is not set; name the folder of a model bundle there, such as one "
            "that 'secondsight train' wrote"
        )
    options = client_options(settings)
    topics = (LISTING_ENRICHED, PRICE_SUGGESTED, REUPLOAD_REQUESTED)
    partitions = co_partitions(options.common(), map(settings.topic, topics))
    pricer = Pricer.load(
        settings.bundle,
        threads=settings.suggest_threads,
        limits=ImageLimits(max_bytes=settings.image_max_bytes),
    )
    registry = new_registry()
    metrics = SuggestMetrics(registry)
    metrics.model_info.labels(pricer.version).set(1)
    with SuggestProcessor(
        pricer,
        fetcher(settings),
        metrics,
        decode_threads=settings.suggest_decode_threads,
        router=SellerRouter(partitions=partitions, metrics=RoutingMetrics(registry)),
    ) as processor:
        run_worker(
            processor,
            name="suggest",
            inputs=[LISTING_ENRICHED],
            settings=settings,
            registry=registry,
            batch_max_records=settings.suggest_batch_max_records,
            batch_max_wait_ms=settings.suggest_batch_max_wait_ms,
            worker_faults=(ModelsError, StatsStoreError),
        )


def fetcher(settings: Settings) -> Fetcher:
    """Return the fetcher that the settings describe."""
    web = WebPhotos(
        AllowList(settings.image_hosts, ports=settings.image_ports),
        allow_private=settings.image_private_networks_allowed,
        max_bytes=settings.image_max_bytes,
        max_redirects=settings.image_max_redirects,
        connect_timeout_s=settings.image_connect_timeout_ms / 1000,
    )
    files = FileRoots(settings.image_file_roots, max_bytes=settings.image_max_bytes)
    return Fetcher(files, web, timeout_s=settings.image_timeout_ms / 1000)
