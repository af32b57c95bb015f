"""Every set of manifests that can be applied: the overlays, and the base with each component."""

from pathlib import Path

import pytest

from tests.deploy.rendered import (
    COMPONENTS,
    K8S,
    OVERLAYS,
    kubectl,
    rendered,
    with_component,
)

HERE = Path(__file__).parent


@pytest.hookimpl(tryfirst=True)  # before the marks are looked at
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave all that needs kubectl or promtool to `make k8s-test`, which builds and fetches them."""
    for item in items:
        if HERE in item.path.parents and item.get_closest_marker("image") is None:
            item.add_marker("cluster")


ALL = (*OVERLAYS, *(f"base+{name}" for name in COMPONENTS))


@pytest.fixture(scope="session")
def kustomize() -> None:
    """Skips where nothing can render manifests."""
    try:
        kubectl()
    except FileNotFoundError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session", params=ALL)
def manifests(
    request: pytest.FixtureRequest, kustomize: None, tmp_path_factory: pytest.TempPathFactory
) -> str:
    """The text of an overlay, or of the base with one component."""
    base, plus, component = request.param.partition("+")
    if not plus:
        return rendered(K8S / "overlays" / base)
    folder: Path = tmp_path_factory.mktemp(component)
    return rendered(with_component(folder, component, f"with-{component}"))
