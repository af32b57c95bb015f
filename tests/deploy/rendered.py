"""What kustomize makes of a folder of manifests, and what there is in it."""

import copy
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tests.deploy import toolchain

ROOT = Path(__file__).parents[2]
K8S = ROOT / "deploy" / "k8s"
OVERLAYS = tuple(sorted(path.name for path in (K8S / "overlays").iterdir()))
COMPONENTS = tuple(sorted(path.name for path in (K8S / "components").iterdir()))

Resource = dict[str, Any]


@dataclass(frozen=True)
class Workload:
    """A resource that makes pods: `pod` is the PodSpec, `labels` are those of its pods."""

    kind: str
    name: str
    spec: Resource
    labels: dict[str, str]
    pod: Resource

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"

    @property
    def lasting(self) -> bool:
        """Whether its pods run until they are told to stop."""
        return self.kind in {"Deployment", "StatefulSet"}


def kubectl() -> Path:
    """Return the kubectl that the tests built, else one that is on the PATH.

    Raises:
        FileNotFoundError: there is neither.
    """
    if (toolchain.folder() / "kubectl").is_file():
        return toolchain.folder() / "kubectl"
    found = shutil.which("kubectl")
    if found is None:
        raise FileNotFoundError("kubectl: `make k8s-test` builds one")
    return Path(found)


@cache
def rendered(folder: Path) -> str:
    """Return the manifests of a folder as the text of YAML documents."""
    done = subprocess.run(
        [kubectl(), "kustomize", folder], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


@cache
def _parsed(text: str) -> list[Resource]:
    return [each for each in yaml.load_all(text, yaml.CSafeLoader) if each is not None]


def resources(text: str) -> list[Resource]:
    """Return the resources of a text."""
    return copy.deepcopy(_parsed(text))


def workloads(of: Sequence[Resource]) -> Iterator[Workload]:
    """Yield what makes pods, by whatever kind."""
    for resource in of:
        spec = resource.get("spec", {})
        if resource["kind"] == "CronJob":
            spec = spec["jobTemplate"]["spec"]
        template = {"metadata": resource["metadata"], "spec": spec}
        if resource["kind"] != "Pod":
            template = spec.get("template", {})
        if "containers" in template.get("spec", {}):
            labels = template.get("metadata", {}).get("labels", {})
            name = resource["metadata"]["name"]
            yield Workload(resource["kind"], name, resource["spec"], labels, template["spec"])


def containers(pod: Resource) -> list[Resource]:
    """Return all containers of a pod, those that run before the others among them."""
    return [*pod.get("initContainers", ()), *pod["containers"]]


def with_component(folder: Path, component: str, namespace: str) -> Path:
    """Write a kustomization of the base with one component into a folder, and return that."""
    base, added = (
        os.path.relpath(path, folder) for path in (K8S / "base", K8S / "components" / component)
    )
    kustomization = {"namespace": namespace, "resources": [base], "components": [added]}
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
    return folder
