"""The model that answers now: what a challenger follows, and is compared with."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime

import structlog

from models.bundle.folder import Bundle, read_bundle
from models.errors import BundleError
from schemas.model import ModelPublished, ModelRole
from workers.registry.announcements import Announcements
from workers.registry.storage import ModelRegistry

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Champion:
    """A live model: its announcement, and its bundle for as long as `champion` is entered."""

    event: ModelPublished
    bundle: Bundle

    @property
    def listed_until(self) -> datetime:
        """Return a time since which no listing that it learnt from was listed."""
        manifest = self.bundle.manifest
        if manifest.lineage is not None:
            return manifest.lineage.listed_until
        if manifest.source.window is not None:
            return manifest.source.window.end
        return self.event.published_at

    @property
    def extractors_trained_at(self) -> datetime:
        """Return when its image networks were trained, at the latest."""
        lineage = self.bundle.manifest.lineage
        return self.event.published_at if lineage is None else lineage.extractors_trained_at


@contextmanager
def champion(announced: Announcements, registry: ModelRegistry) -> Iterator[Champion | None]:
    """Give the first live model that is whole, as the workers choose; None where there is none.

    Raises:
        WorkersError: the registry cannot be read now.
    """
    with ExitStack() as stack:
        found = None
        for event in announced.of(ModelRole.LIVE):
            try:
                folder = stack.enter_context(
                    registry.fetched(event.uri, manifest_sha256=event.manifest_sha256)
                )
                found = Champion(event, read_bundle(folder))
                break
            except BundleError as error:
                version = event.model_version
                log.warning("live model passed over", model_version=version, error=str(error))
        yield found
