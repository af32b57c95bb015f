"""One or two stats workers on topics of their own, and the recount of what they must come to."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.torture.cluster import Cluster
from tests.torture.crew import Crew
from tests.torture.publisher import Publisher
from tests.torture.recount import Recount
from tests.torture.run import await_parts, compare, drained, settings_for
from tests.torture.stream import Stream


class Scene:
    """Topics, a stream for them, and workers without instance ids, so that they leave at once."""

    def __init__(self, servers: str, prefix: str, folder: Path, partitions: int) -> None:
        self.cluster = Cluster(servers, prefix=prefix, partitions=partitions)
        self.cluster.create_topics()
        self.crew = Crew(settings_for(self.cluster), folder, instances=())
        stream = Stream(11, partitions)
        self._publisher = Publisher(servers, prefix=prefix, stream=stream, rate=1)

    def publish(self, count: int) -> None:
        self._publisher.publish(count)

    def counted(self) -> Recount:
        """Wait until the group has committed all that is published; return its recount."""
        return drained(self.crew, self.cluster)

    def is_as_counted(self) -> None:
        """Publish the rest, wait, stop the workers in order and compare all with the recount."""
        self._publisher.finish()
        expected = self.counted()
        await_parts(self.crew, self.cluster, expected)
        self.crew.stop()
        verdict = compare(self.crew, self.cluster, expected)
        assert verdict.problems == []
        assert (verdict.lost, verdict.double, verdict.state_equal) == (0, 0, True)


@pytest.fixture
def make_scene(kafka: str, topic_prefix: str, tmp_path: Path) -> Iterator[Callable[..., Scene]]:
    """Makes the scene of a test: `make_scene(partitions=1)`."""
    made: list[Scene] = []

    def make(partitions: int = 1) -> Scene:
        made.append(Scene(kafka, topic_prefix, tmp_path, partitions))
        return made[-1]

    yield make
    for scene in made:
        scene.crew.end()
