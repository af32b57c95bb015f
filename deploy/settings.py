"""The settings of a deployment: the values of deploy/k8s/base/settings.env."""

from collections.abc import Mapping
from typing import Any

from workers.cli.settings import written
from workers.runtime.settings import Settings, environment_name

SHARED = "/var/lib/secondsight-shared"

DEPLOYED: Mapping[str, Any] = {
    "kafka_bootstrap_servers": "kafka:9092",
    "replication_factor": 3,
    "partitions": 16,  # so many workers of a kind at most; more cannot be had later
    "data_dir": "/var/lib/secondsight",
    "model_registry": f"{SHARED}/models",
    "examples_url": f"{SHARED}/examples",
    "health_port": 8080,
    "log_format": "json",
}
"""What differs from a setting's default in a cluster."""

OF_A_POD = ("instance_id", "advertised_address", "kafka_options")
"""Told to each pod by its manifest: names, and what leads to secrets."""

_HEAD = """\
# Made by `make manifests`: every setting, with the value it has in a cluster. What they mean is in
# docs/settings.md; an empty value counts as not set.
"""


def settings_env() -> str:
    """Return settings.env, one line a setting in the order of the page.

    Raises:
        ConfigurationError: the workers would refuse a value.
    """
    settings = Settings(**DEPLOYED)
    lines = []
    group = None
    for name, field in Settings.model_fields.items():
        extra: Any = field.json_schema_extra
        if name in OF_A_POD:
            continue
        if extra["group"] != group:
            group = extra["group"]
            lines.append(f"\n# {group}")
        lines.append(f"{environment_name(name)}={written(getattr(settings, name))}")
    return _HEAD + "\n".join(lines) + "\n"
