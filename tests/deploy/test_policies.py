"""What holds for every workload of every overlay and component, also for those added later."""

import re
from collections.abc import Iterator

import pytest
import yaml

from tests.deploy.rendered import (
    K8S,
    Resource,
    Workload,
    containers,
    rendered,
    resources,
    workloads,
)
from workers.cli.main import COMMANDS
from workers.runtime.settings import Settings, environment_name


@pytest.fixture
def found(manifests: str) -> list[Resource]:
    return resources(manifests)


@pytest.fixture
def running(found: list[Resource]) -> list[Workload]:
    return list(workloads(found))


def of_kind(found: list[Resource], kind: str) -> list[Resource]:
    return [each for each in found if each["kind"] == kind]


def selects(selector: Resource, labels: dict[str, str]) -> bool:
    """Whether a label selector takes a pod with these labels."""
    plain = all(labels.get(k) == v for k, v in selector.get("matchLabels", {}).items())
    for rule in selector.get("matchExpressions", ()):
        assert rule["operator"] == "In", rule
        plain = plain and labels.get(rule["key"]) in rule["values"]
    return plain


def variables(found: list[Resource], container: Resource) -> dict[str, str]:
    """What a container is told by its environment; what a pod is told by its node is `7`."""
    maps = {each["metadata"]["name"]: each["data"] for each in of_kind(found, "ConfigMap")}
    told: dict[str, str] = {}
    for source in container.get("envFrom", ()):
        if "configMapRef" in source:
            told |= maps[source["configMapRef"]["name"]]
    for each in container.get("env", ()):
        told[each["name"]] = each.get("value", "7")
    for name, value in told.items():
        for inner in re.findall(r"\$\((\w+)\)", value):
            told[name] = told[name].replace(f"$({inner})", told[inner])
    return told


def test_what_is_generated_is_current() -> None:
    from deploy.generate import ROOT, files

    stale = [path for path, text in files().items() if (ROOT / path).read_text() != text]
    assert stale == [], "run `make manifests`"


def test_every_container_has_requests_and_limits(running: list[Workload]) -> None:
    for workload in running:
        for container in containers(workload.pod):
            resources = container["resources"]
            for amounts in (resources["requests"], resources["limits"]):
                assert {"cpu", "memory", "ephemeral-storage"} <= amounts.keys(), str(workload)


def test_every_lasting_container_has_its_probes(running: list[Workload]) -> None:
    for workload in running:
        for container in workload.pod["containers"] if workload.lasting else ():
            probes = [container[f"{kind}Probe"] for kind in ("startup", "liveness", "readiness")]
            ports = {port["name"] for port in container["ports"]}
            for probe in probes:
                request = probe.get("httpGet") or probe["tcpSocket"]
                assert request["port"] in ports, str(workload)
            if "httpGet" in probes[0]:
                paths = [probe["httpGet"]["path"] for probe in probes]
                assert paths == ["/healthz", "/healthz", "/readyz"], str(workload)


def test_no_container_may_more_than_it_must(running: list[Workload]) -> None:
    for workload in running:
        pod = workload.pod
        assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys(), str(workload)
        assert pod["automountServiceAccountToken"] is False, str(workload)
        assert pod["securityContext"]["runAsNonRoot"] is True, str(workload)
        assert pod["securityContext"]["runAsUser"] >= 1000, str(workload)
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in containers(pod):
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "capabilities": {"drop": ["ALL"]},
                "privileged": False,
                "readOnlyRootFilesystem": True,
            }, str(workload)


def test_what_a_container_may_write_is_bounded(running: list[Workload]) -> None:
    for workload in running:
        for volume in workload.pod["volumes"]:
            assert "hostPath" not in volume, str(workload)
            if "emptyDir" in volume:
                assert volume["emptyDir"]["sizeLimit"], (str(workload), volume["name"])


def test_every_pod_has_an_account_and_a_priority_of_these_manifests(
    found: list[Resource], running: list[Workload]
) -> None:
    accounts = {each["metadata"]["name"]: each for each in of_kind(found, "ServiceAccount")}
    priorities = {each["metadata"]["name"] for each in of_kind(found, "PriorityClass")}
    assert not {"Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding"} & {
        each["kind"] for each in found
    }
    for workload in running:
        account = accounts[workload.pod["serviceAccountName"]]
        assert account["automountServiceAccountToken"] is False
        assert workload.pod["priorityClassName"] in priorities
    assert {workload.pod["serviceAccountName"] for workload in running} == accounts.keys()


def test_no_service_looks_like_a_setting(running: list[Workload]) -> None:
    # A Service `secondsight-x` would set SECONDSIGHT_X_SERVICE_HOST, which the workers refuse.
    assert all(workload.pod["enableServiceLinks"] is False for workload in running)


def test_every_pod_is_held_back_but_for_what_is_allowed(
    found: list[Resource], running: list[Workload]
) -> None:
    policies = [each["spec"] for each in of_kind(found, "NetworkPolicy")]
    nothing = {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    assert nothing in policies
    for policy in policies:
        for rule in policy.get("ingress", ()):
            assert rule.get("from"), "from everywhere"
        for rule in policy.get("egress", ()):
            assert rule.get("ports") or rule.get("to"), "to everywhere"
    for workload in running:
        own = [
            p for p in policies if p["podSelector"] and selects(p["podSelector"], workload.labels)
        ]
        assert own, f"{workload}: no policy says what it may do"


def test_every_policy_budget_and_service_selects_pods(
    found: list[Resource], running: list[Workload]
) -> None:
    selectors = {
        f"{each['kind']} {each['metadata']['name']}": selector
        for each in found
        for selector in _selectors(each)
        # Strimzi makes the pods with its labels.
        if not any(label.startswith("strimzi.io/") for label in selector.get("matchLabels", {}))
    }
    assert len(selectors) >= 8
    for name, selector in selectors.items():
        assert any(selects(selector, workload.labels) for workload in running), name


def _selectors(resource: Resource) -> Iterator[Resource]:
    spec = resource.get("spec", {})
    if resource["kind"] == "NetworkPolicy":
        yield spec["podSelector"]
    elif resource["kind"] in {"PodDisruptionBudget", "PodMonitor"}:
        yield spec["selector"]
    elif resource["kind"] == "Service":
        yield {"matchLabels": spec["selector"]}


def test_a_workload_selects_its_own_pods_and_no_others(running: list[Workload]) -> None:
    for workload in (each for each in running if each.lasting):
        selector = workload.spec["selector"]
        taken = [each.name for each in running if selects(selector, each.labels)]
        assert taken == [workload.name]


def test_what_has_replicas_has_a_budget_and_is_spread(
    found: list[Resource], running: list[Workload]
) -> None:
    budgets = [each["spec"] for each in of_kind(found, "PodDisruptionBudget")]
    for workload in running:
        if not workload.lasting or workload.name == "kafka":  # of one node, to try things out
            continue
        mine = [each for each in budgets if selects(each["selector"], workload.labels)]
        assert len(mine) == 1, str(workload)
        assert mine[0]["maxUnavailable"] == 1
        if workload.name == "drift":  # there is one, at most
            assert (workload.spec["replicas"], workload.spec["strategy"]["type"]) == (1, "Recreate")
            continue
        spread = workload.pod["topologySpreadConstraints"]
        keys = {each["topologyKey"] for each in spread}
        assert keys == {"kubernetes.io/hostname", "topology.kubernetes.io/zone"}, str(workload)
        assert all(selects(each["labelSelector"], workload.labels) for each in spread)


def test_a_stateful_set_has_its_headless_service(
    found: list[Resource], running: list[Workload]
) -> None:
    services = {each["metadata"]["name"]: each["spec"] for each in of_kind(found, "Service")}
    for workload in running:
        ports = {p["name"] for c in workload.pod["containers"] for p in c.get("ports", ())}
        name = workload.spec.get("serviceName") or workload.pod.get("subdomain")
        if name is not None:
            assert services[name]["clusterIP"] == "None"
            assert selects({"matchLabels": services[name]["selector"]}, workload.labels)
            assert {port["targetPort"] for port in services[name]["ports"]} <= ports


def test_what_is_named_exists(found: list[Resource], running: list[Workload]) -> None:
    maps = {each["metadata"]["name"] for each in of_kind(found, "ConfigMap")}
    claims = {each["metadata"]["name"] for each in of_kind(found, "PersistentVolumeClaim")}
    for workload in running:
        own = {each["metadata"]["name"] for each in workload.spec.get("volumeClaimTemplates", ())}
        volumes = {each["name"]: each for each in workload.pod["volumes"]}
        for volume in volumes.values():
            if "persistentVolumeClaim" in volume:
                assert volume["persistentVolumeClaim"]["claimName"] in claims
            if "configMap" in volume:
                assert volume["configMap"]["name"] in maps
        for container in containers(workload.pod):
            mounted = {each["name"] for each in container["volumeMounts"]}
            assert mounted <= volumes.keys() | own, str(workload)
            assert volumes.keys() | own <= mounted, f"{workload}: a volume that nobody mounts"


def test_the_settings_of_every_pod_are_ones_that_the_worker_takes(
    found: list[Resource], running: list[Workload], monkeypatch: pytest.MonkeyPatch
) -> None:
    # The certificates are not here, and librdkafka looks for them.
    monkeypatch.setattr("workers.runtime.kafka_options.check", lambda _options: None)
    for workload in running:
        for container in containers(workload.pod):
            if container["name"] == "kafka":
                continue
            told = variables(found, container)
            with monkeypatch.context() as environment:
                for name, value in told.items():
                    if name.startswith("SECONDSIGHT_"):
                        environment.setenv(name, value)
                settings = Settings()
            every = {environment_name(name) for name in Settings.model_fields}
            assert len(every & told.keys()) >= len(every) - 3, str(workload)
            if workload.lasting:
                assert settings.health_port in {p["containerPort"] for p in container["ports"]}
                grace = workload.pod["terminationGracePeriodSeconds"]
                assert settings.shutdown_grace_ms / 1000 + 10 <= grace, str(workload)
            if settings.instance_id is not None:
                # A static member: its restart must end before its session does. A start takes as
                # long as the probe grants at most.
                probe = container["startupProbe"]
                start = probe["periodSeconds"] * probe["failureThreshold"]
                restart = workload.pod["terminationGracePeriodSeconds"] + start
                assert settings.session_timeout_ms / 1000 > restart, str(workload)


def test_every_command_exists(running: list[Workload]) -> None:
    for workload in running:
        for container in containers(workload.pod):
            if container["name"] == "kafka":
                continue
            arguments = container["args"]
            if container.get("command") == ["torchrun"]:
                arguments = arguments[arguments.index("workers.cli.main") + 1 :]
            assert arguments[0] in COMMANDS, str(workload)


def test_a_job_gives_up_where_a_retry_will_not_help(running: list[Workload]) -> None:
    jobs = [each for each in running if not each.lasting]
    assert len(jobs) >= 3
    for workload in jobs:
        spec = workload.spec
        if workload.kind == "CronJob":
            assert spec["concurrencyPolicy"] == "Forbid"
            assert spec["timeZone"]
            assert spec["startingDeadlineSeconds"] >= 60
            spec = spec["jobTemplate"]["spec"]
        assert spec["activeDeadlineSeconds"] > 0
        assert spec["ttlSecondsAfterFinished"] > 0
        assert workload.pod["restartPolicy"] == "Never"
        ignored, failed = spec["podFailurePolicy"]["rules"]
        assert ignored["action"] == "Ignore"
        assert [each["type"] for each in ignored["onPodConditions"]] == ["DisruptionTarget"]
        assert failed["action"] == "FailJob"
        assert failed["onExitCodes"] == {
            "containerName": workload.pod["containers"][0]["name"],
            "operator": "In",
            "values": [2, 3],
        }


def test_one_gpu_pod_has_one_device(running: list[Workload]) -> None:
    on_gpu = 0
    for workload in running:
        for container in containers(workload.pod):
            amounts = container["resources"]
            devices = {k: v for k, v in amounts["limits"].items() if k.startswith("nvidia.com/")}
            assert all(amounts["requests"][name] == number for name, number in devices.items())
            # What trains or uses a GPU needs torch, which the other image has not.
            with_torch = "secondsight-cuda" in container["image"]
            on_cpu = workload.name in {"retrain", "drift"}
            assert with_torch == (bool(devices) or on_cpu), str(workload)
            if devices:
                on_gpu += 1
                assert list(devices.values()) == ["1"]
                assert any(each["key"] == "nvidia.com/gpu" for each in workload.pod["tolerations"])
    assert on_gpu == 2


def test_the_namespace_admits_restricted_pods_only(found: list[Resource]) -> None:
    [namespace] = of_kind(found, "Namespace")
    for mode in ("enforce", "warn", "audit"):
        assert namespace["metadata"]["labels"][f"pod-security.kubernetes.io/{mode}"] == "restricted"
    cluster_wide = {"Namespace", "PriorityClass"}
    for each in found:
        if each["kind"] not in cluster_wide:
            assert each["metadata"]["namespace"] == namespace["metadata"]["name"]


def test_no_secret_lies_in_the_tree(found: list[Resource]) -> None:
    assert of_kind(found, "Secret") == []


@pytest.mark.usefixtures("kustomize")
def test_production_takes_images_by_digest_and_the_trial_by_a_tag() -> None:
    for overlay, form in (("prod", r".+@sha256:[0-9a-f]{64}"), ("dev", r"[^@]+:(?!latest)[\w.-]+")):
        images = {
            container["image"]
            for workload in workloads(resources(rendered(K8S / "overlays" / overlay)))
            for container in containers(workload.pod)
        }
        assert len(images) >= 2
        assert [image for image in images if not re.fullmatch(form, image)] == []


@pytest.mark.usefixtures("kustomize")
def test_what_is_scaled_is_not_given_its_replicas_by_an_apply() -> None:
    found = resources(rendered(K8S / "overlays" / "prod"))
    maps = [each["data"] for each in of_kind(found, "ConfigMap")]
    [settings] = [each for each in maps if "SECONDSIGHT_PARTITIONS" in each]
    scaled = {
        each["spec"]["scaleTargetRef"]["name"]: each for each in of_kind(found, "ScaledObject")
    }
    assert scaled.keys() == {"suggest"}
    for workload in workloads(found):
        assert (workload.name in scaled) == (
            workload.lasting and "replicas" not in workload.spec
        ), str(workload)
        if workload.lasting and workload.name not in scaled:
            assert workload.spec["replicas"] <= int(settings["SECONDSIGHT_PARTITIONS"])
    for each in scaled.values():
        assert each["spec"]["maxReplicaCount"] <= int(settings["SECONDSIGHT_PARTITIONS"])
        assert each["spec"]["triggers"][0]["metadata"]["allowIdleConsumers"] == "false"
        namespace = each["metadata"]["namespace"]
        servers = each["spec"]["triggers"][0]["metadata"]["bootstrapServers"]
        name, _, port = settings["SECONDSIGHT_KAFKA_BOOTSTRAP_SERVERS"].partition(":")
        assert servers == f"{name}.{namespace}.svc:{port}"


def test_every_file_of_the_tree_is_used() -> None:
    for path in K8S.rglob("kustomization.yaml"):
        text = yaml.safe_load(path.read_text())
        named = {*text.get("resources", ())}
        named |= {each["path"] for each in text.get("patches", ()) if "path" in each}
        for generator in text.get("configMapGenerator", ()):
            named |= {each.rpartition("=")[2] for each in generator.get("files", ())}
            named |= set(generator.get("envs", ()))
        files = {each.name for each in path.parent.iterdir() if each.is_file()}
        assert files - {"kustomization.yaml"} == {name for name in named if "/" not in name}
