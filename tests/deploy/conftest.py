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
    """Leave to `make k8s-test` what needs the programs that it builds and fetches."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker("image" if HERE / "image" in item.path.parents else "cluster")


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
