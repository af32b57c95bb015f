"""Writing to the `models` topic, and reading what stands in it."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import cast
from uuid import uuid4

from confluent_kafka import KafkaError, Message, Producer

from models.bundle.folder import read_bundle
from models.errors import BundleError
from schemas import cloudevents
from schemas.dead_letter import Headers
from schemas.errors import EventError
from schemas.model import ModelPublished, ModelRole
from workers.errors import BadDataError, WorkersError
from workers.registry.announcements import Announcements
from workers.registry.storage import ModelRegistry
from workers.runtime.clients import ClientOptions
from workers.runtime.log_reader import read_to_end

_SOURCE = "/secondsight/models"
_TIMEOUT_S = 30.0


def announcements(options: ClientOptions, topic: str) -> Announcements:
    """Return what stands in the topic; records that are no announcement are passed over.

    Raises:
        WorkersError: the topic cannot be read.
    """
    found = Announcements()
    batches = read_to_end(
        options.log_reader(), options.common(), topic, 0, 0, cancelled=lambda: False
    )
    for message in (message for batch in batches for message in batch):
        with suppress(EventError):
            found.take(message.key(), message.value(), cast(Headers, message.headers()))
    return found


def announce(
    folder: Path,
    registry: ModelRegistry,
    options: ClientOptions,
    *,
    topic: str,
    role: ModelRole,
    share: float | None,
    other_currency: bool = False,
) -> ModelPublished:
    """Copy a bundle into the registry and announce it; returns the announcement.

    Args:
        folder: the bundle.
        registry: where the workers find it.
        options: of Kafka clients.
        topic: the name of `models` on the cluster.
        role: what it shall answer.
        share: of a canary, the share of the sellers.
        other_currency: whether it may price in another currency than the live model. Then all
            listings in that of the live model become dead letters.

    Raises:
        BundleError: the folder is no whole bundle.
        BadDataError: it prices in another currency than the live model.
        WorkersError: the registry or the topic cannot be written.
    """
    manifest = read_bundle(folder).manifest
    live = announcements(options, topic).of(ModelRole.LIVE)
    currency = None if other_currency else _currency_in_use(live, registry)
    if currency not in (None, manifest.currency):
        raise BadDataError(
            f"{manifest.model_version} prices in {manifest.currency}, the live model in "
            f"{currency}: listings in {currency} would all be refused. If that is meant, say "
            "--other-currency"
        )
    uri, manifest_sha256 = registry.publish(folder)
    event = ModelPublished(
        model_version=manifest.model_version,
        uri=uri,
        manifest_sha256=manifest_sha256,
        backbone=manifest.image_networks[0].backbone,
        metrics=_numbers(manifest.metrics),
        parent_version=live[0].model_version if live else None,
        published_at=datetime.now(UTC),
        role=role,
        share=share,
    )
    headers = cloudevents.encode(
        event,
        event_id=str(uuid4()),
        source=_SOURCE,
        time=event.published_at,
        subject=event.model_version,
    )
    _write(options, topic, event.model_version, event.to_bytes(), list(headers))
    return event


def withdraw(version: str, options: ClientOptions, *, topic: str) -> None:
    """Take an announcement back: whoever was announced for its role before holds it again.

    Raises:
        BadDataError: no such version is announced.
        WorkersError: the topic cannot be read or written.
    """
    known = [event.model_version for event in announcements(options, topic).all()]
    if version not in known:
        raise BadDataError(f"{version} is not announced; these are: {', '.join(known) or 'none'}")
    _write(options, topic, version, None, [])


def roll_back(options: ClientOptions, *, topic: str) -> tuple[str, str]:
    """Withdraw the live model; return its version, and that of the one that answers now.

    Raises:
        BadDataError: no other model was announced as live: there is nobody to go back to.
        WorkersError: the topic cannot be read or written.
    """
    live = announcements(options, topic).of(ModelRole.LIVE)
    if len(live) < 2:
        raise BadDataError(
            f"{live[0].model_version} is the only live model: withdrawn, it would leave nobody to "
            "answer. Publish another one first"
            if live
            else "no live model is announced"
        )
    _write(options, topic, live[0].model_version, None, [])
    return live[0].model_version, live[1].model_version


def _currency_in_use(live: Sequence[ModelPublished], registry: ModelRegistry) -> str | None:
    """Return the currency of the first model that is whole, as the workers choose."""
    for event in live:
        try:
            with registry.fetched(event.uri, manifest_sha256=event.manifest_sha256) as folder:
                return read_bundle(folder).manifest.currency
        except BundleError:
            continue
    return None


def _write(
    options: ClientOptions,
    topic: str,
    version: str,
    value: bytes | None,
    headers: list[tuple[str, str | bytes | None]],
) -> None:
    errors: list[KafkaError | None] = []

    def report(error: KafkaError | None, _message: Message) -> None:
        errors.append(error)

    producer = Producer(options.plain_producer())
    producer.produce(topic, value, version, headers=headers, on_delivery=report)
    if producer.flush(_TIMEOUT_S) or errors != [None]:
        reason = errors[0].str() if errors and errors[0] else f"no answer in {_TIMEOUT_S:.0f} s"
        raise WorkersError(f"{topic} cannot be written: {reason}")


def _numbers(metrics: Mapping[str, object], prefix: str = "") -> dict[str, float]:
    """Flatten the metrics of a manifest to the numbers in it, as `all.male`."""
    found: dict[str, float] = {}
    for name, value in metrics.items():
        if isinstance(value, dict):
            found |= _numbers(value, f"{prefix}{name}.")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            found[f"{prefix}{name}"] = float(value)
    return found
