"""Following the `models` topic: bundles are loaded beside those in use, and then take over."""

import threading
import time
from collections.abc import Callable
from typing import Self, cast

import structlog
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, Message, TopicPartition

from models.errors import BundleError
from models.pricer import Pricer
from schemas.errors import EventError
from schemas.model import ModelPublished, ModelRole
from schemas.topics import MODELS
from workers.errors import ConfigurationError, WorkersError
from workers.registry.announcements import Announcements
from workers.runtime.clients import Options
from workers.runtime.cluster_watch import ClusterWatch
from workers.runtime.consumer_errors import raise_if_final
from workers.runtime.metrics import SuggestMetrics
from workers.runtime.processing import Headers, Record, Rejected
from workers.suggest.lineup import Lineup

log = structlog.get_logger(__name__)

_RETRY_S = 5.0  # after the registry could not be read; it doubles up to a minute
_RETRY_MOST_S = 60.0
_LEAVE_S = 5.0  # a registry that does not answer holds nobody up who wants to leave


class ModelFollower:
    """Keeps the lineup that the `models` topic describes, in a thread of its own.

    What is in use stays in use until its successor is loaded and tried. A bundle that cannot be
    used is refused once and left out; whoever was announced for the role before it, or `first`,
    stays or comes back. A registry that cannot be read is asked again.

    Args:
        consumer_options: of a consumer with `enable.partition.eof` and read_committed.
        topic: name on the cluster.
        load: fetches, loads and tries an announced bundle; raises BundleError where it is of no
            use, WorkersError where another try may pass.
        first: answers where no announced bundle can.
        refuse: sets an announcement aside.
        metrics: counts loads and shows the versions in use.
    """

    def __init__(
        self,
        consumer_options: Options,
        *,
        topic: str,
        load: Callable[[ModelPublished], Pricer],
        first: Pricer | None,
        refuse: Callable[[Rejected], None],
        metrics: SuggestMetrics,
    ) -> None:
        self._options = consumer_options
        self._topic = topic
        self._load = load
        self._first = first
        self._refuse = refuse
        self._metrics = metrics
        self._announcements = Announcements()
        self._records: dict[str, Record] = {}
        self._refused: set[str] = set()
        self._loaded: dict[str, Pricer] = {}  # by the sum of the manifest
        self._lineup: Lineup | None = None
        self._chosen = threading.Event()
        self._stopping = threading.Event()
        self._unreachable: Exception | None = None
        self._pause = _RETRY_S
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="models", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join(_LEAVE_S)

    def wait(self, *, timeout: float) -> None:
        """Return once there is a model that answers.

        Raises:
            ConfigurationError: none is announced as live, or none of those can be used.
            WorkersError: the topic or the registry cannot be read.
        """
        if not self._chosen.wait(timeout):
            raise WorkersError(f"no model could be loaded in {timeout:.0f} s: {self._unreachable}")
        if self._error is not None:
            raise WorkersError(f"cannot follow {self._topic}: {self._error}") from self._error
        if self._lineup is None:
            raise ConfigurationError(
                f"no usable model is announced in {self._topic}: announce one with 'secondsight "
                f"models publish', or name a bundle to begin with in SECONDSIGHT_BUNDLE"
            )

    def lineup(self) -> Lineup:
        """Return the models in use now.

        Raises:
            WorkersError: the topic cannot be read any more.
        """
        if self._error is not None:
            raise WorkersError(f"cannot follow {self._topic}: {self._error}") from self._error
        assert self._lineup is not None  # noqa: S101  wait() has returned
        return self._lineup

    def _run(self) -> None:
        consumer = Consumer(self._options)
        try:
            consumer.assign([TopicPartition(self._topic, 0, OFFSET_BEGINNING)])
            changed, caught_up, retry_at = True, False, float("inf")
            watch = ClusterWatch(consumer, self._topic)
            while not self._stopping.is_set():
                messages = consumer.consume(100, 0.1)
                watch.polled(messages)
                for message in messages:
                    if (error := message.error()) is None:
                        self._take(message)
                        changed = True
                    elif error.code() == KafkaError._PARTITION_EOF:
                        caught_up = True
                    else:
                        raise_if_final(error)
                # Not before the end: what was announced long ago is not loaded on the way.
                if caught_up and (changed or time.monotonic() >= retry_at):
                    changed = False
                    retry_at = self._choose()
        except Exception as error:  # noqa: BLE001  the worker's thread raises it, see lineup()
            self._error = error
        finally:
            self._chosen.set()
            consumer.close()

    # --- announcements -------------------------------------------------------------------

    def _take(self, message: Message) -> None:
        record = Record(
            MODELS,
            cast(int, message.partition()),
            cast(int, message.offset()),
            message.timestamp()[1],
            message.key(),
            message.value(),
            cast(Headers, message.headers() or ()),
        )
        try:
            event = self._announcements.take(record.key, record.value, record.headers)
        except EventError as error:
            self._set_aside(record, "decode", error)
            return
        if event is not None:
            self._records[event.model_version] = record
            self._refused.discard(event.model_version)  # announced anew: tried anew

    def _set_aside(self, record: Record, stage: str, error: Exception) -> None:
        log.error("announcement refused", offset=record.offset, stage=stage, error=str(error))
        self._metrics.model_loads.labels("refused").inc()
        self._refuse(Rejected(record, stage, error))

    # --- models --------------------------------------------------------------------------

    def _choose(self) -> float:
        """Load what the roles ask for and put it into use; return when to try again."""
        self._unreachable = None
        before = self._lineup.by_role() if self._lineup else {}
        live = self._pick(ModelRole.LIVE, before, currency=None) or self._first
        if live is not None:
            self._use(live, before)
        if self._unreachable is None:
            self._pause = _RETRY_S
            self._chosen.set()
            return float("inf")
        if live is not None:
            self._chosen.set()
        self._metrics.model_loads.labels("unreachable").inc()
        log.warning("models cannot be fetched", error=str(self._unreachable), retry_s=self._pause)
        retry_at = time.monotonic() + self._pause
        self._pause = min(2 * self._pause, _RETRY_MOST_S)
        return retry_at

    def _use(self, live: Pricer, before: dict[ModelRole, Pricer]) -> None:
        canary = self._pick(ModelRole.CANARY, before, currency=live.currency)
        share = 0.0
        if canary is not None:
            shares = {e.model_version: e.share for e in self._announcements.of(ModelRole.CANARY)}
            share = shares.get(canary.version) or 0.0
        shadow = self._pick(ModelRole.SHADOW, before, currency=live.currency)
        self._lineup = Lineup(live, canary if share else None, share, shadow)
        used = self._lineup.by_role()
        kept = used.values()
        self._loaded = {name: pricer for name, pricer in self._loaded.items() if pricer in kept}
        self._metrics.model_info.clear()
        for role, pricer in used.items():
            self._metrics.model_info.labels(pricer.version, role.value).set(1)
        if used != before:
            log.info("models in use", **{role.value: p.version for role, p in used.items()})

    def _pick(
        self, role: ModelRole, before: dict[ModelRole, Pricer], *, currency: str | None
    ) -> Pricer | None:
        """Return the model of the last announcement for a role that can be used."""
        for event in self._announcements.of(role):
            if event.model_version in self._refused:
                continue
            try:
                return self._get(event, currency)
            except (WorkersError, OSError, MemoryError) as error:
                self._unreachable = error
                kept = before.get(role)
                return kept if kept and currency in (None, kept.currency) else None
            except Exception as error:  # noqa: BLE001  whatever its files make the runtime say
                self._refused.add(event.model_version)
                self._set_aside(self._records[event.model_version], "load", error)
        return None

    def _get(self, event: ModelPublished, currency: str | None) -> Pricer:
        pricer = self._loaded.get(event.manifest_sha256)
        if pricer is None:
            pricer = self._load(event)
            self._metrics.model_loads.labels("loaded").inc()
            self._loaded[event.manifest_sha256] = pricer
        if currency is not None and pricer.currency != currency:
            raise BundleError(
                f"{event.model_version} prices in {pricer.currency}, the live model in {currency}"
            )
        return pricer
