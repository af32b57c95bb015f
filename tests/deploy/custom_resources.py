"""Definitions of the custom resources that the components use: only the fields that they use.

Written for these tests; the operators bring the whole ones. A field that is not here is refused
by `--validate=strict`, so that a misspelt one does not pass for a setting.
"""

from collections.abc import Mapping
from typing import Any

Schema = Mapping[str, Any]

TEXT: Schema = {"type": "string"}
NUMBER: Schema = {"type": "integer"}
YES_NO: Schema = {"type": "boolean"}
TEXTS: Schema = {"type": "object", "additionalProperties": TEXT}
ANYTHING: Schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
SIZE: Schema = {"x-kubernetes-int-or-string": True}


def fields(required: str = "", /, **properties: Schema) -> Schema:
    """Return an object with these fields, of which those named in `required` must be there."""
    schema: dict[str, Any] = {"type": "object", "properties": properties}
    return {**schema, "required": required.split()} if required else schema


def many(items: Schema) -> Schema:
    """Return a list."""
    return {"type": "array", "items": items}


def one_of(*words: str) -> Schema:
    """Return one of some words."""
    return {"type": "string", "enum": list(words)}


_AMOUNTS = {"type": "object", "additionalProperties": SIZE}
_RESOURCES = fields(requests=_AMOUNTS, limits=_AMOUNTS)
_KAFKA_OPERATIONS = (
    *("Read", "Write", "Create", "Delete", "Alter", "Describe", "ClusterAction"),
    *("AlterConfigs", "DescribeConfigs", "IdempotentWrite", "All"),
)
_SCALING = {"type": "array", "items": fields(type=TEXT, value=NUMBER, periodSeconds=NUMBER)}

KAFKA = fields(
    "kafka",
    kafka=fields(
        "listeners",
        version=TEXT,
        metadataVersion=TEXT,
        listeners=many(
            fields(
                "name port type tls",
                name={"type": "string", "pattern": "^[a-z0-9]{1,11}$"},
                port={"type": "integer", "minimum": 9092},
                type=one_of("internal", "route", "loadbalancer", "nodeport", "ingress"),
                tls=YES_NO,
                authentication=fields("type", type=one_of("tls", "scram-sha-512", "custom")),
            )
        ),
        authorization=fields("type", type=one_of("simple", "custom")),
        config=ANYTHING,
    ),
    entityOperator=fields(
        topicOperator=fields(resources=_RESOURCES), userOperator=fields(resources=_RESOURCES)
    ),
)

NODE_POOL = fields(
    "replicas storage roles",
    replicas=NUMBER,
    roles=many(one_of("controller", "broker")),
    storage=fields(
        "type",
        type=one_of("ephemeral", "persistent-claim", "jbod"),
        volumes=many(
            fields("id type", id=NUMBER, type=TEXT, size=TEXT, kraftMetadata=one_of("shared"))
        ),
    ),
    resources=_RESOURCES,
)

KAFKA_TOPIC = fields(
    topicName=TEXT,
    partitions={"type": "integer", "minimum": 1},
    replicas={"type": "integer", "minimum": 1},
    config=ANYTHING,
)

KAFKA_USER = fields(
    authentication=fields("type", type=one_of("tls", "tls-external", "scram-sha-512")),
    authorization=fields(
        "type acls",
        type=one_of("simple"),
        acls=many(
            fields(
                "resource operations",
                resource=fields(
                    "type",
                    type=one_of("topic", "group", "cluster", "transactionalId"),
                    name=TEXT,
                    patternType=one_of("literal", "prefix"),
                ),
                operations=many(one_of(*_KAFKA_OPERATIONS)),
            )
        ),
    ),
)

SCALED_OBJECT = fields(
    "scaleTargetRef triggers",
    scaleTargetRef=fields("name", apiVersion=TEXT, kind=TEXT, name=TEXT),
    minReplicaCount=NUMBER,
    maxReplicaCount=NUMBER,
    pollingInterval=NUMBER,
    cooldownPeriod=NUMBER,
    fallback=fields("failureThreshold replicas", failureThreshold=NUMBER, replicas=NUMBER),
    advanced=fields(
        horizontalPodAutoscalerConfig=fields(
            behavior=fields(scaleDown=fields(stabilizationWindowSeconds=NUMBER, policies=_SCALING))
        )
    ),
    triggers=many(
        fields(
            "type metadata",
            type=TEXT,
            metadata=TEXTS,
            authenticationRef=fields("name", name=TEXT),
        )
    ),
)

TRIGGER_AUTHENTICATION = fields(
    secretTargetRef=many(fields("parameter name key", parameter=TEXT, name=TEXT, key=TEXT))
)

POD_MONITOR = fields(
    "selector",
    selector=fields(
        matchLabels=TEXTS,
        matchExpressions=many(fields("key operator", key=TEXT, operator=TEXT, values=many(TEXT))),
    ),
    podMetricsEndpoints=many(
        fields(
            port=TEXT,
            path=TEXT,
            interval={"type": "string", "pattern": r"^\d+[smh]$"},
            relabelings=many(fields(sourceLabels=many(TEXT), targetLabel=TEXT)),
        )
    ),
)

PROMETHEUS_RULE = fields(
    groups=many(
        fields(
            "name",
            name=TEXT,
            rules=many(
                fields(
                    "expr",
                    alert=TEXT,
                    record=TEXT,
                    expr=SIZE,
                    labels=TEXTS,
                    annotations=TEXTS,
                    **{"for": {"type": "string", "pattern": r"^\d+[smhd]$"}},
                )
            ),
        )
    )
)


def definitions() -> list[dict[str, Any]]:
    """Return a CustomResourceDefinition for each of them."""
    return [
        _definition("kafka.strimzi.io", "v1", "Kafka", "kafkas", KAFKA),
        _definition("kafka.strimzi.io", "v1", "KafkaNodePool", "kafkanodepools", NODE_POOL),
        _definition("kafka.strimzi.io", "v1", "KafkaTopic", "kafkatopics", KAFKA_TOPIC),
        _definition("kafka.strimzi.io", "v1", "KafkaUser", "kafkausers", KAFKA_USER),
        _definition("keda.sh", "v1alpha1", "ScaledObject", "scaledobjects", SCALED_OBJECT),
        _definition(
            "keda.sh",
            "v1alpha1",
            "TriggerAuthentication",
            "triggerauthentications",
            TRIGGER_AUTHENTICATION,
        ),
        _definition("monitoring.coreos.com", "v1", "PodMonitor", "podmonitors", POD_MONITOR),
        _definition(
            "monitoring.coreos.com", "v1", "PrometheusRule", "prometheusrules", PROMETHEUS_RULE
        ),
    ]


def _definition(group: str, version: str, kind: str, plural: str, spec: Schema) -> dict[str, Any]:
    names = {"kind": kind, "listKind": f"{kind}List", "plural": plural, "singular": kind.lower()}
    of_all = {"apiVersion": TEXT, "kind": TEXT, "metadata": {"type": "object"}}
    schema = {"type": "object", "required": ["spec"], "properties": {**of_all, "spec": spec}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": names,
            "versions": [
                {
                    "name": version,
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": schema},
                }
            ],
        },
    }
