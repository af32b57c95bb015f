"""Announcing on a real broker: what is checked of the model in use, and what stands in its way."""

from collections.abc import Callable
from pathlib import Path

import pytest

from models.bundle.folder import read_bundle
from schemas.model import ModelPublished, ModelRole
from tests.red_bundle import write_red_bundle
from workers.errors import BadDataError
from workers.registry.announcing import announce, announcements, roll_back
from workers.registry.storage import ModelRegistry
from workers.runtime.clients import ClientOptions


@pytest.fixture
def topic(topic_prefix: str, make_topic: Callable[..., str]) -> str:
    return make_topic(f"{topic_prefix}models", config={"cleanup.policy": "compact"})


@pytest.fixture
def publish(kafka: str, topic: str, tmp_path: Path) -> Callable[..., ModelPublished]:
    """Announces a bundle that is made for it, as the live model."""
    options = ClientOptions(bootstrap_servers=kafka)
    registry = ModelRegistry(str(tmp_path / "registry"))

    def publish(name: str, *, base: float, currency: str = "GBP") -> ModelPublished:
        bundle = write_red_bundle(tmp_path / name, base=base, currency=currency)
        event = announce(bundle, registry, options, topic=topic, role=ModelRole.LIVE, share=None)
        assert event.model_version == read_bundle(bundle).manifest.model_version
        assert announcements(options, topic).of(ModelRole.LIVE)[0] == event
        return event

    return publish


def test_a_model_in_another_currency_than_the_one_in_use_is_refused(
    publish: Callable[..., ModelPublished],
) -> None:
    first = publish("one", base=3)
    assert first.parent_version is None
    with pytest.raises(BadDataError, match="prices in EUR, the live model in GBP"):
        publish("two", base=3, currency="EUR")
    assert publish("three", base=4).parent_version == first.model_version


def test_a_damaged_model_in_use_does_not_hinder_its_successor(
    publish: Callable[..., ModelPublished], tmp_path: Path
) -> None:
    publish("one", base=3)
    damaged = publish("two", base=4)
    (tmp_path / "registry" / damaged.model_version / "heads.onnx").write_bytes(b"damaged")

    with pytest.raises(BadDataError, match="the live model in GBP"):  # the one before is whole
        publish("three", base=4, currency="EUR")
    assert publish("four", base=5).parent_version == damaged.model_version


def test_a_rollback_brings_back_the_model_before(
    publish: Callable[..., ModelPublished], kafka: str, topic: str
) -> None:
    options = ClientOptions(bootstrap_servers=kafka)
    with pytest.raises(BadDataError, match="no live model"):
        roll_back(options, topic=topic)
    first, second = publish("one", base=3), publish("two", base=4)

    assert roll_back(options, topic=topic) == (second.model_version, first.model_version)
    assert announcements(options, topic).of(ModelRole.LIVE) == [first]
    with pytest.raises(BadDataError, match="the only live model"):
        roll_back(options, topic=topic)
    # announced anew it is the newest again
    assert publish("two", base=4).parent_version == first.model_version
