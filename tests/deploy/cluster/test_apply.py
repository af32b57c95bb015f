"""Every overlay and component is taken by a real API server as it is: no warning, no refusal."""

import copy
from collections.abc import Callable
from typing import Any

import pytest

from tests.deploy.control_plane import ControlPlane, Refused
from tests.deploy.rendered import Resource, Workload, resources, workloads


@pytest.fixture(scope="module")
def server(start: Callable[..., ControlPlane]) -> ControlPlane:
    """Without controllers: what an apply leaves is what the server made of it."""
    return start()


def versions(objects: list[dict[str, Any]]) -> dict[tuple[str, str], str]:
    return {
        (each["kind"], each["metadata"]["name"]): each["metadata"]["resourceVersion"]
        for each in objects
    }


def pod_of(workload: Workload) -> Resource:
    """A pod as the controller of a workload would make it."""
    claims = [
        {"name": name, "persistentVolumeClaim": {"claimName": f"{name}-{workload.name}-0"}}
        for claim in workload.spec.get("volumeClaimTemplates", ())
        for name in [claim["metadata"]["name"]]
    ]
    volumes = [*workload.pod.get("volumes", ()), *claims]
    labels = {
        **workload.labels,
        "batch.kubernetes.io/job-name": workload.name,
        "batch.kubernetes.io/job-completion-index": "0",
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"generateName": f"{workload.name}-", "labels": labels},
        "spec": {**workload.pod, "volumes": volumes},
    }


def test_all_is_taken_and_a_second_time_changes_nothing(
    server: ControlPlane, manifests: str
) -> None:
    wanted = resources(manifests)
    first = versions(server.apply(manifests))
    assert len(first) == len(wanted) >= 30
    second = versions(server.apply(manifests))
    changed = {name for name in first if first[name] != second[name]}
    # The server writes any claim once more when it is applied for the second time, with nothing in
    # it changed; the third time it does not.
    assert {kind for kind, _ in changed} <= {"PersistentVolumeClaim"}
    assert versions(server.apply(manifests)) == second


def test_every_pod_is_admitted_under_restricted(server: ControlPlane, manifests: str) -> None:
    found = resources(manifests)
    namespace = next(each for each in found if each["kind"] == "Namespace")
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    server.apply(manifests)
    pods = [pod_of(workload) for workload in workloads(found)]
    assert len(pods) >= 7
    for pod in pods:
        server.create(pod, f"--namespace={namespace['metadata']['name']}", "--dry-run=server")


@pytest.mark.parametrize("manifests", ["dev"], indirect=True)
def test_a_pod_that_may_do_more_is_refused(server: ControlPlane, manifests: str) -> None:
    server.apply(manifests)
    stats = next(each for each in workloads(resources(manifests)) if each.name == "stats")
    pod = copy.deepcopy(pod_of(stats))
    del pod["spec"]["containers"][0]["securityContext"]["capabilities"]
    with pytest.raises(Refused, match="unrestricted capabilities"):
        server.create(pod, "--namespace=secondsight-dev", "--dry-run=server")


@pytest.mark.parametrize("manifests", ["dev"], indirect=True)
def test_a_misspelt_field_is_refused(server: ControlPlane, manifests: str) -> None:
    with pytest.raises(Refused, match="terminationGracePeriod"):
        server.apply(manifests.replace("terminationGracePeriodSeconds", "terminationGracePeriod"))


@pytest.mark.parametrize("manifests", ["dev"], indirect=True)
def test_dev_needs_no_custom_resources(manifests: str) -> None:
    versions = {each["apiVersion"] for each in resources(manifests)}
    builtin = {"apps/v1", "batch/v1", "networking.k8s.io/v1", "policy/v1", "scheduling.k8s.io/v1"}
    assert versions == {"v1", *builtin}


@pytest.mark.parametrize("manifests", ["dev"], indirect=True)
def test_another_version_can_be_applied_over_the_running_one(
    server: ControlPlane, manifests: str
) -> None:
    server.apply(manifests)
    server.kubectl("delete", "job", "topics", "--namespace=secondsight-dev")  # it does so itself
    newer = manifests.replace("secondsight:dev", "secondsight:dev-2")
    assert newer != manifests
    after = {(each["kind"], each["metadata"]["name"]): each for each in server.apply(newer)}
    image = after["StatefulSet", "stats"]["spec"]["template"]["spec"]["containers"][0]["image"]
    assert image == "secondsight:dev-2"
    server.kubectl("delete", "namespace", "secondsight-dev", "--wait=false")
