"""A real API server for the tests of a file. `make k8s-test` builds it and runs them."""

import json
from collections.abc import Callable, Iterator

import pytest

from tests.deploy import toolchain
from tests.deploy.control_plane import ControlPlane
from tests.deploy.custom_resources import definitions


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., ControlPlane]]:
    """Starts an API server that knows the custom resources: `start(controllers=False)`."""
    assert toolchain.built(), "python -m tests.deploy.toolchain builds the API server"
    running: list[ControlPlane] = []

    def begin(*, controllers: bool = False) -> ControlPlane:
        folder = tmp_path_factory.mktemp("cluster")
        running.append(ControlPlane(folder, controllers=controllers).__enter__())
        made = {"apiVersion": "v1", "kind": "List", "items": definitions()}
        running[-1].apply(json.dumps(made))
        running[-1].kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=60s")
        return running[-1]

    yield begin
    for each in running:
        each.__exit__(None, None, None)
