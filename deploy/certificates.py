"""Patches that give every pod that uses Kafka the certificates of its user."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from deploy.kafka import CLUSTER, users

BASE = Path(__file__).parent / "k8s" / "base"

_OPTIONS = {
    "security.protocol": "SSL",
    "ssl.ca.location": "/etc/kafka/cluster/ca.crt",
    "ssl.certificate.location": "/etc/kafka/user/user.crt",
    "ssl.key.location": "/etc/kafka/user/user.key",
}
_NO_KAFKA = ("train",)


def patches() -> list[dict[str, Any]]:
    """Return a strategic merge patch for every workload of the base that uses Kafka.

    The name of a workload's container, without `-gpu`, is that of its user: Strimzi makes a
    secret of that name, and one with the certificate of the cluster.
    """
    known = {user["metadata"]["name"] for user in users()}
    found = []
    for workload in _workloads():
        for container in _template(workload)["spec"]["containers"]:
            user = container["name"].removesuffix("-gpu")
            if user in _NO_KAFKA:
                continue
            if user not in known:
                raise LookupError(f"there is no Kafka user for the container {container['name']}")
            found.append(_patch(workload, container["name"], user))
    return found


def _workloads() -> Iterator[dict[str, Any]]:
    for path in sorted(BASE.glob("*.yaml")):
        for resource in yaml.safe_load_all(path.read_text(encoding="utf-8")):
            if resource["kind"] in {"Deployment", "StatefulSet", "Job", "CronJob"}:
                yield resource


def _template(workload: dict[str, Any]) -> Any:
    spec = workload["spec"]
    return (spec["jobTemplate"]["spec"] if workload["kind"] == "CronJob" else spec)["template"]


def _patch(workload: dict[str, Any], container: str, user: str) -> dict[str, Any]:
    pod = {
        "containers": [
            {
                "name": container,
                "env": [
                    {"name": "SECONDSIGHT_KAFKA_OPTIONS", "value": json.dumps(_OPTIONS)},
                ],
                "volumeMounts": [
                    {"name": "kafka-cluster", "mountPath": "/etc/kafka/cluster", "readOnly": True},
                    {"name": "kafka-user", "mountPath": "/etc/kafka/user", "readOnly": True},
                ],
            }
        ],
        "volumes": [
            _secret("kafka-cluster", f"{CLUSTER}-cluster-ca-cert", ["ca.crt"]),
            _secret("kafka-user", user, ["user.crt", "user.key"]),
        ],
    }
    spec: dict[str, Any] = {"template": {"spec": pod}}
    if workload["kind"] == "CronJob":
        spec = {"jobTemplate": {"spec": spec}}
    return {
        "apiVersion": workload["apiVersion"],
        "kind": workload["kind"],
        "metadata": {"name": workload["metadata"]["name"]},
        "spec": spec,
    }


def _secret(volume: str, name: str, keys: list[str]) -> dict[str, Any]:
    items = [{"key": key, "path": key} for key in keys]
    return {
        "name": volume,
        "secret": {"secretName": name, "defaultMode": 0o440, "items": items},
    }
