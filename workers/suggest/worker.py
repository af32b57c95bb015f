"""The suggest worker as a process: the model, the photos' sources and the loop wired together."""

from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import structlog
from confluent_kafka import Producer

from models.errors import BundleError, ModelsError
from models.extractors.devices import choose_device
from models.images.limits import ImageLimits
from models.pricer import Pricer
from models.trial import try_out
from schemas.model import ModelPublished, ModelRole
from schemas.topics import MODELS
from stats_store.errors import StatsStoreError
from workers.errors import ConfigurationError
from workers.registry.storage import ModelRegistry
from workers.runtime.access import SUGGEST
from workers.runtime.clients import ClientOptions
from workers.runtime.cluster import co_partitions
from workers.runtime.dead_letters import dead_letter
from workers.runtime.metrics import RoutingMetrics, SuggestMetrics, new_registry
from workers.runtime.processing import Rejected
from workers.runtime.routing import SellerRouter
from workers.runtime.service import client_options, run_worker
from workers.runtime.settings import Settings
from workers.suggest.allow_list import AllowList
from workers.suggest.decoders import Decoders
from workers.suggest.fetch import Fetcher
from workers.suggest.file_roots import FileRoots
from workers.suggest.hints import load_hints
from workers.suggest.lineup import Lineup
from workers.suggest.model_follower import ModelFollower
from workers.suggest.object_roots import ObjectRoots
from workers.suggest.preparation import Preparation
from workers.suggest.processor import SuggestProcessor
from workers.suggest.web import WebPhotos

log = structlog.get_logger(__name__)

_TOLD_S = 10.0  # for a dead letter to reach the broker
_FIRST_MODEL_S = 120.0  # to fetch and load the first model: some hundred MB from a slow store


def run_suggest(settings: Settings) -> None:
    """Answer listings until SIGTERM or SIGINT.

    Raises:
        ConfigurationError: no bundle or no Kafka is named, no usable model is announced, the topics
            do not fit together, or there are no hints in the language of the settings.
        BundleError: the bundle is not whole, or cannot run on the device.
        DeviceError: a GPU is asked for that is not there.
        WorkersError: see `workers.runtime.loop.TransactionalLoop.run`.
        KafkaException: the cluster cannot be reached, or a client failed for good.
    """
    if settings.bundle is None and settings.model_registry is None:
        raise ConfigurationError(
            "neither SECONDSIGHT_BUNDLE nor SECONDSIGHT_MODEL_REGISTRY is set; name the folder of "
            "a model bundle there, such as one that 'secondsight train' wrote, or where announced "
            "bundles lie"
        )
    hints = load_hints(settings.hint_language, settings.hint_folder)
    device = choose_device(settings.suggest_device)
    options = client_options(settings)
    topics = (*SUGGEST.inputs, *SUGGEST.outputs)
    partitions = co_partitions(options.common(), map(settings.topic, topics))
    registry = new_registry()
    metrics = SuggestMetrics(registry)
    with ExitStack() as stack:
        processor = stack.enter_context(
            SuggestProcessor(
                _lineup(settings, device, options, metrics, stack),
                _preparation(settings, metrics),
                metrics,
                router=SellerRouter(partitions=partitions, metrics=RoutingMetrics(registry)),
                hints=hints,
                control_share=settings.control_share,
            )
        )
        run_worker(
            processor,
            name=SUGGEST.name,
            inputs=SUGGEST.inputs,
            settings=settings,
            registry=registry,
            batch_max_records=settings.suggest_batch_max_records,
            batch_max_wait_ms=settings.suggest_batch_max_wait_ms,
            worker_faults=(ModelsError, StatsStoreError),
        )


def _lineup(
    settings: Settings,
    device: str | None,
    options: ClientOptions,
    metrics: SuggestMetrics,
    stack: ExitStack,
) -> Callable[[], Lineup]:
    """Return what tells the models in use: those announced, or the one bundle of the settings."""
    limits = ImageLimits(max_bytes=settings.image_max_bytes)

    def loaded(folder: Path) -> Pricer:
        threads = settings.suggest_threads
        pricer = Pricer.load(folder, threads=threads, limits=limits, device=device)
        log.info(
            "model loaded",
            model_version=pricer.version,
            device=pricer.device,
            precision=pricer.precision,
        )
        return pricer

    first = None if settings.bundle is None else loaded(settings.bundle)
    if settings.model_registry is None:
        assert first is not None  # noqa: S101  run_suggest() refuses to go without both
        lineup = Lineup(first)
        metrics.model_info.labels(first.version, ModelRole.LIVE.value).set(1)
        return lambda: lineup
    models = ModelRegistry(settings.model_registry)

    def load(event: ModelPublished) -> Pricer:
        with models.fetched(event.uri, manifest_sha256=event.manifest_sha256) as folder:
            pricer = loaded(folder)
        if pricer.version != event.model_version:
            raise BundleError(f"{event.uri} is {pricer.version}, not {event.model_version}")
        try_out(pricer)
        return pricer

    follower = stack.enter_context(
        ModelFollower(
            options.log_reader(),
            topic=settings.topic(MODELS),
            load=load,
            first=first,
            refuse=partial(_refuse, Producer(options.plain_producer()), settings.topic),
            metrics=metrics,
        )
    )
    follower.wait(timeout=_FIRST_MODEL_S)
    return follower.lineup


def _preparation(settings: Settings, metrics: SuggestMetrics) -> Preparation:
    decoders = Decoders(
        metrics,
        processes=settings.suggest_decode_processes,
        memory_bytes=settings.suggest_decode_memory_bytes,
        limits=ImageLimits(max_bytes=settings.image_max_bytes),
    )
    return Preparation(
        fetcher(settings),
        decoders,
        metrics,
        photos_at_once=settings.image_fetches_at_once,
        photos_of_a_host=settings.image_fetches_per_host,
    )


def _refuse(producer: Producer, physical: Callable[[str], str], rejected: Rejected) -> None:
    """Write an announcement to its dead-letter topic; it is in the log in any case."""
    letter = dead_letter(rejected, attempt=1)
    producer.produce(physical(letter.topic), letter.value, letter.key, headers=list(letter.headers))
    if producer.flush(_TOLD_S):
        log.warning("a refused announcement could not be written", topic=letter.topic)


def fetcher(settings: Settings) -> Fetcher:
    """Return the fetcher that the settings describe.

    Raises:
        ConfigurationError: roots in S3 are named that are none, or cannot be reached.
    """
    web = WebPhotos(
        AllowList(settings.image_hosts, ports=settings.image_ports),
        allow_private=settings.image_private_networks_allowed,
        max_bytes=settings.image_max_bytes,
        max_redirects=settings.image_max_redirects,
        connect_timeout_s=settings.image_connect_timeout_ms / 1000,
    )
    files = FileRoots(settings.image_file_roots, max_bytes=settings.image_max_bytes)
    objects = ObjectRoots(
        settings.image_s3_roots,
        max_bytes=settings.image_max_bytes,
        connect_timeout_s=settings.image_connect_timeout_ms / 1000,
        read_timeout_s=settings.image_timeout_ms / 1000,
    )
    return Fetcher(files, web, objects=objects, timeout_s=settings.image_timeout_ms / 1000)
