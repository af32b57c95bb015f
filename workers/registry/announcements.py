"""Which bundle holds which role, from the records of the `models` topic."""

from schemas import cloudevents
from schemas.dead_letter import Headers
from schemas.errors import EventError
from schemas.model import ModelPublished, ModelRole


class Announcements:
    """The last announcement of each version, as the compacted topic keeps them."""

    def __init__(self) -> None:
        self._by_version: dict[str, ModelPublished] = {}  # announced last comes last

    def take(
        self, key: bytes | None, value: bytes | None, headers: Headers | None
    ) -> ModelPublished | None:
        """Take in a record of the topic and return its announcement.

        A version that was announced before moves to the new role. A record without a value
        withdraws a version; then the answer is None.

        Raises:
            EventError: it is no announcement; nothing changed.
        """
        if value is None:
            self._by_version.pop((key or b"").decode(errors="replace"), None)
            return None
        event, _ = cloudevents.decode(headers, value, accept=[ModelPublished])
        assert isinstance(event, ModelPublished)  # noqa: S101 - for the type checker
        if key != event.model_version.encode():  # it is what compaction goes by
            raise EventError("the record's key is not the model_version")
        self._by_version.pop(event.model_version, None)
        self._by_version[event.model_version] = event
        return event

    def all(self) -> list[ModelPublished]:
        """Return the announcements, the one announced last first."""
        return [*reversed(self._by_version.values())]

    def of(self, role: ModelRole) -> list[ModelPublished]:
        """Return who may hold a role: the version announced for it last comes first.

        The others are whom to go back to, if that one is withdrawn or cannot be loaded.
        """
        return [event for event in self.all() if event.role is role]
