"""The overlay for one node beside the real controllers: jobs make pods, accounts may do nothing."""

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.deploy.control_plane import ControlPlane, Refused
from tests.deploy.rendered import K8S, rendered, resources

NAMESPACE = "secondsight-dev"
MANIFESTS = rendered(K8S / "overlays" / "dev")
ACCOUNTS = sorted(
    each["metadata"]["name"] for each in resources(MANIFESTS) if each["kind"] == "ServiceAccount"
)
DEADLINE_S = 120.0


@pytest.fixture(scope="module")
def cluster(start: Callable[..., ControlPlane]) -> ControlPlane:
    """The overlay dev, applied; all controllers run."""
    cluster = start(controllers=True)
    cluster.apply(MANIFESTS)
    return cluster


def here(cluster: ControlPlane, kind: str, *arguments: str) -> list[Any]:
    return list(cluster.get(kind, f"--namespace={NAMESPACE}", *arguments)["items"])


def awaited(
    cluster: ControlPlane, kind: str, wanted: Callable[[list[Any]], bool], *arguments: str
) -> list[Any]:
    """Ask for objects until they are as wanted."""
    deadline = time.monotonic() + DEADLINE_S
    while not wanted(found := here(cluster, kind, *arguments)):
        assert time.monotonic() < deadline, json.dumps(found, indent=1)[-4000:]
    return found


def pods_of(cluster: ControlPlane, component: str, count: int) -> list[Any]:
    selector = f"--selector=app.kubernetes.io/component={component}"
    return awaited(cluster, "pods", lambda found: len(found) == count, selector)


def patch(cluster: ControlPlane, name: str, change: Any, *, status: bool = False) -> None:
    cluster.kubectl(
        "patch",
        name,
        f"--namespace={NAMESPACE}",
        "--type=merge",
        f"--patch={json.dumps(change)}",
        *(["--subresource=status"] if status else []),
    )


def started(cluster: ControlPlane, cron: str) -> str:
    """Start a job of a CronJob by hand; its name."""
    made = cluster.kubectl(
        "create", "job", f"--namespace={NAMESPACE}", f"--from=cronjob/{cron}", f"{cron}-by-hand"
    )
    assert "created" in made
    return f"{cron}-by-hand"


def ended(cluster: ControlPlane, pod: Any, *, exit_code: int, disrupted: bool = False) -> None:
    """Let a pod look as a node would leave it whose container ended."""
    name = pod["spec"]["containers"][0]["name"]
    image = pod["spec"]["containers"][0]["image"]
    at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    terminated = {"exitCode": exit_code, "reason": "Error", "startedAt": at, "finishedAt": at}
    container = {"name": name, "image": image, "imageID": "", "ready": False, "restartCount": 0}
    condition = {"type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI"}
    status = {
        "phase": "Failed",
        "containerStatuses": [{**container, "state": {"terminated": terminated}}],
        "conditions": [condition] if disrupted else [],
    }
    patch(cluster, f"pod/{pod['metadata']['name']}", {"status": status}, status=True)


@pytest.mark.parametrize(
    ("component", "count"),
    [("stats", 1), ("suggest", 1), ("outcomes", 1), ("topics", 1), ("kafka", 1)],
)
def test_what_runs_has_its_pods(cluster: ControlPlane, component: str, count: int) -> None:
    for pod in pods_of(cluster, component, count):
        assert pod["status"]["phase"] == "Pending"  # there is no node
        assert pod["spec"]["priority"] == 100_000
        assert "seccompProfile" in pod["spec"]["securityContext"]


def test_a_stats_pod_has_a_volume_of_its_own_and_its_name_as_the_member(
    cluster: ControlPlane,
) -> None:
    [pod] = pods_of(cluster, "stats", 1)
    assert pod["metadata"]["name"] == "stats-0"
    claims = [each["metadata"]["name"] for each in here(cluster, "persistentvolumeclaims")]
    assert "state-stats-0" in claims
    variables = {each["name"]: each for each in pod["spec"]["containers"][0]["env"]}
    source = variables["SECONDSIGHT_INSTANCE_ID"]["valueFrom"]["fieldRef"]["fieldPath"]
    assert source == "metadata.name"


def test_no_gpu_pod_is_asked_for_until_somebody_has_one(cluster: ControlPlane) -> None:
    [deployment] = awaited(
        cluster,
        "deployments",
        lambda found: "observedGeneration" in found[0]["status"],
        "--field-selector=metadata.name=suggest-gpu",
    )
    assert deployment["status"].get("replicas", 0) == 0


def test_a_budget_counts_the_pods_it_protects(cluster: ControlPlane) -> None:
    budgets = awaited(
        cluster,
        "poddisruptionbudgets",
        lambda found: sum(each["status"].get("expectedPods", 0) for each in found) == 4,
    )
    expected = {each["metadata"]["name"]: each["status"]["expectedPods"] for each in budgets}
    assert expected == {"stats": 1, "suggest": 1, "suggest-gpu": 0, "outcomes": 1, "drift": 1}


def test_the_hour_makes_a_job_and_the_job_its_pod(cluster: ControlPlane) -> None:
    # Its last run was two hours ago, so it is overdue, and still within the deadline for starting.
    minute = datetime.now(UTC) - timedelta(minutes=1)
    patch(cluster, "cronjob/retrain", {"spec": {"schedule": f"{minute.minute} * * * *"}})
    before = (datetime.now(UTC) - timedelta(hours=2)).strftime("%Y-%m-%dT%H:%M:%SZ")
    patch(cluster, "cronjob/retrain", {"status": {"lastScheduleTime": before}}, status=True)
    [pod] = pods_of(cluster, "retrain", 1)
    [job] = here(cluster, "jobs", "--selector=app.kubernetes.io/component=retrain")
    assert job["metadata"]["ownerReferences"][0]["name"] == "retrain"
    assert pod["metadata"]["ownerReferences"][0]["name"] == job["metadata"]["name"]

    # Bad data: it has failed at once, no other pod is made.
    ended(cluster, pod, exit_code=3)
    [failed] = awaited(
        cluster,
        "jobs",
        lambda found: bool(_reasons(found[0])),
        f"--field-selector=metadata.name={job['metadata']['name']}",
    )
    assert "PodFailurePolicy" in _reasons(failed)
    assert len(pods_of(cluster, "retrain", 1)) == 1


def _reasons(job: Any) -> list[str]:
    return [
        each["reason"]
        for each in job["status"].get("conditions", ())
        if each["type"] == "Failed" and each["status"] == "True"
    ]


def test_training_has_a_pod_for_each_rank_that_the_others_find_by_name(
    cluster: ControlPlane,
) -> None:
    name = started(cluster, "train")
    pods = pods_of(cluster, "train", 2)
    assert sorted(pod["spec"]["hostname"] for pod in pods) == [f"{name}-0", f"{name}-1"]
    for pod in pods:
        assert pod["spec"]["subdomain"] == "train"
        variables = {each["name"]: each for each in pod["spec"]["containers"][0]["env"]}
        for variable in ("JOB_NAME", "JOB_COMPLETION_INDEX"):
            path = variables[variable]["valueFrom"]["fieldRef"]["fieldPath"]
            label = path.removeprefix("metadata.labels['").removesuffix("']")
            assert pod["metadata"]["labels"][label]
        assert pod["metadata"]["labels"]["batch.kubernetes.io/job-name"] == name
        assert f"--master-addr=$(JOB_NAME)-0.{pod['spec']['subdomain']}" in str(pod["spec"])

    # A drained node: the pod is made anew, and it does not count against the limit.
    ended(cluster, pods[0], exit_code=137, disrupted=True)
    awaited(
        cluster,
        "pods",
        lambda found: len(found) == 3,
        "--selector=app.kubernetes.io/component=train",
    )
    [job] = here(cluster, "jobs", f"--field-selector=metadata.name={name}")
    assert job["status"].get("failed", 0) == 0
    assert job["status"].get("ready", 0) == 0
    assert not _reasons(job)


@pytest.mark.parametrize("account", ACCOUNTS)
def test_an_account_may_do_nothing_that_everybody_may_not(
    cluster: ControlPlane, account: str
) -> None:
    # Without --validate: kubectl would ask for definitions, which the account may not see either.
    user = (f"--as=system:serviceaccount:{NAMESPACE}:{account}", "--validate=false")
    review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectRulesReview"}
    rules = cluster.create({**review, "spec": {"namespace": NAMESPACE}}, *user)["status"]
    allowed = {
        (group, resource, verb)
        for rule in rules["resourceRules"]
        for group in rule.get("apiGroups", ["*"])
        for resource in rule.get("resources", ["*"])
        for verb in rule["verbs"]
    }
    # To ask what it may do, as everybody may.
    reviews = {"selfsubjectaccessreviews", "selfsubjectrulesreviews", "selfsubjectreviews"}
    assert {resource for _, resource, _ in allowed} <= reviews
    assert {verb for _, _, verb in allowed} == {"create"}

    for verb, resource in (("list", "secrets"), ("create", "pods"), ("get", "configmaps")):
        asked = {"namespace": NAMESPACE, "verb": verb, "resource": resource}
        access = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview"}
        made = cluster.create({**access, "spec": {"resourceAttributes": asked}}, *user)
        assert made["status"]["allowed"] is False, (verb, resource)


def test_an_account_is_refused_a_secret(cluster: ControlPlane) -> None:
    with pytest.raises(Refused, match="cannot list resource"):
        cluster.get(
            "secrets", f"--namespace={NAMESPACE}", f"--as=system:serviceaccount:{NAMESPACE}:stats"
        )


def test_nobody_holds_a_token_of_an_account(cluster: ControlPlane) -> None:
    for pod in here(cluster, "pods"):
        projected = [volume for volume in pod["spec"]["volumes"] if "projected" in volume]
        assert projected == [], pod["metadata"]["name"]
