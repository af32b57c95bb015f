"""Every setting of the workers and commands: its environment variable, unit, default and bounds.

Settings stay at the edge: a command reads them once and hands plain numbers on by keyword. The
page docs/settings.md is made from this file.
"""

import difflib
import os
import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, JsonValue, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from models.extractors.devices import DEVICE
from workers.errors import ConfigurationError
from workers.runtime import kafka_options

PREFIX = "SECONDSIGHT_"

_NAME = re.compile(r"[\w.-]*", re.ASCII)
_BROKER = re.compile(r"([A-Za-z_]+://)?([\w.-]+|\[[0-9A-Fa-f:.]+\])(:(?P<port>\d{1,5}))?", re.ASCII)
_IMAGE_HOST = re.compile(r"(\*\.)?[\w-]+(\.[\w-]+)*|[0-9a-f:.]+", re.ASCII)

Milliseconds = Annotated[int, Field(ge=0, le=86_400_000)]
Words = Annotated[tuple[str, ...], NoDecode]


def _default_data_dir() -> Path:
    base = os.environ.get("XDG_DATA_HOME")
    return Path(base or Path.home() / ".local" / "share") / "secondsight"


def _setting(group: str, unit: str, default: object, description: str, **bounds: Any) -> Any:
    extra: dict[str, JsonValue] = {"group": group, "unit": unit}
    if callable(default):
        return Field(
            default_factory=default, description=description, json_schema_extra=extra, **bounds
        )
    return Field(default, description=description, json_schema_extra=extra, **bounds)


class Settings(BaseSettings):
    """All settings, read from keyword arguments first and then from `SECONDSIGHT_*` variables.

    Raises ConfigurationError for a value that makes no sense, naming its variable, and for a
    variable with our prefix that no setting has.
    """

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_ignore_empty=True,  # an empty variable in a manifest means "not set"
        extra="forbid",
        frozen=True,
        allow_inf_nan=False,
    )

    # Kafka
    kafka_bootstrap_servers: str | None = _setting(
        "Kafka", "", None,
        "Brokers to start from, `host:port` separated by commas. Not set: the commands that can "
        "(`demo`, `broker`) start a Kafka of their own; the others need it.",
    )  # fmt: skip
    kafka_options: Annotated[dict[str, str], NoDecode] = _setting(
        "Kafka", "JSON object", dict,
        'librdkafka options for every client (TLS, SASL), such as `{"security.protocol": '
        '"SASL_SSL"}`. Options on which exactly-once rests are refused.',
        repr=False,  # holds passwords
    )  # fmt: skip
    topic_prefix: str = _setting(
        "Kafka", "", "",
        "Put before the name of every topic, consumer group and transactional id, so that several "
        "systems share one cluster. Letters, digits, `.`, `_` and `-`.",
        max_length=100,
    )  # fmt: skip
    partitions: int = _setting(
        "Kafka", "partitions", 4,
        "Partitions of every co-partitioned topic, when topics are created. It cannot be changed "
        "later: sellers would move between partitions.",
        ge=1, le=4096,
    )  # fmt: skip
    replication_factor: int = _setting(
        "Kafka", "copies", 1,
        "Copies of every partition, when topics are created: 3 in production, 1 on one machine.",
        ge=1, le=32,
    )  # fmt: skip
    session_timeout_ms: int = _setting(
        "Kafka", "ms", 10_000,
        "A member that sends no heartbeat for this long loses its partitions. With an instance id, "
        "a restart shorter than this moves none.",
        ge=1_000, le=1_800_000,
    )  # fmt: skip
    max_poll_interval_ms: int = _setting(
        "Kafka", "ms", 300_000,
        "A member that does not poll for this long loses its partitions. At least the session "
        "timeout.",
        ge=1_000, le=86_400_000,
    )  # fmt: skip
    transaction_timeout_ms: int = _setting(
        "Kafka", "ms", 15_000,
        "A transaction that is open for longer is aborted by the broker. A reader of committed "
        "records waits at most this long behind a worker that died.",
        ge=1_000, le=900_000,
    )  # fmt: skip

    # Every worker
    data_dir: Path = _setting(
        "Workers", "folder", _default_data_dir,
        "State of the stats and outcomes workers. Default: "
        "`$XDG_DATA_HOME/secondsight`, else `~/.local/share/secondsight`.",
    )  # fmt: skip
    instance_id: str | None = _setting(
        "Workers", "", None,
        "A name that outlives restarts and no other running worker of the kind has (the pod's name "
        "of a StatefulSet). Set: static membership and a stable transactional id. Not set: a new "
        "name at each start.",
        min_length=1, max_length=100,
    )  # fmt: skip
    batch_max_records: int = _setting(
        "Workers", "records", 50_000, "Records in one transaction, at most.", ge=1, le=1_000_000
    )
    batch_max_wait_ms: Milliseconds = _setting(
        "Workers", "ms", 20,
        "How long a batch that is not full waits for more records. More: fewer, larger "
        "transactions.",
    )  # fmt: skip
    max_idle_ms: Milliseconds = _setting(
        "Workers", "ms", 25,
        "How long an input that has caught up may hold the other back while the two are merged by "
        "time (KIP-353).",
    )  # fmt: skip
    max_future_ms: Milliseconds = _setting(
        "Workers", "ms", 600_000,
        "How far ahead of this machine's clock an event's time may lie; a later one is a dead "
        "letter.",
    )  # fmt: skip
    dead_letter_max_ratio: float = _setting(
        "Workers", "share", 0.1,
        "A worker stops when more than this share of the last records went to a dead-letter topic. "
        "1 never stops.",
        gt=0, le=1,
    )  # fmt: skip
    dead_letter_window: int = _setting(
        "Workers", "records", 1_000, "Over how many last records that share is taken.",
        ge=1, le=10_000_000,
    )  # fmt: skip
    shutdown_grace_ms: Milliseconds = _setting(
        "Workers", "ms", 25_000,
        "How long a worker may take to drain, commit and leave after SIGTERM. Below the grace "
        "period of what sends the signal (Kubernetes: 30 s).",
    )  # fmt: skip

    # Statistics
    partials_interval_ms: int = _setting(
        "Statistics", "ms", 500,
        "How often a partition publishes its part of the category and global statistics.",
        ge=10, le=3_600_000,
    )  # fmt: skip
    checkpoint_url: str | None = _setting(
        "Statistics", "folder or address", None,
        "Where checkpoints of the state are shipped and fetched from: a folder that all workers "
        "see, or `s3://bucket/prefix` (needs the extra `s3`). Not set: none are made.",
    )  # fmt: skip
    checkpoint_interval_ms: int = _setting(
        "Statistics", "ms", 900_000,
        "How often a checkpoint of each partition is made, if anything is new. Each ships the "
        "whole state of the partition.",
        ge=1_000, le=86_400_000,
    )  # fmt: skip
    standby: Literal["all"] | Annotated[int, Field(ge=0, le=4_096)] = _setting(
        "Statistics", "partitions", 0,
        "Partitions of other workers whose changelog this one follows into stores of its own, to "
        "take them over in seconds: a number, or `true` for all. Each takes the disk of its state; "
        "workers with a standby share no data folder.",
    )  # fmt: skip

    window_days: int = _setting(
        "Statistics", "days", 0,
        "Statistics are of the sales of the last that many days (UTC, by the time of the sale, up "
        "to the latest day that is known of). 0: of all time. It shapes what is stored, so a "
        "worker refuses state that was counted otherwise.",
        ge=0, le=36_500,
    )  # fmt: skip
    seller_cap: int = _setting(
        "Statistics", "sales", 0,
        "Of each seller only so many sales in a currency count for category and overall: a guard "
        "against sellers who would move the prices of others. 0: all. A worker refuses state that "
        "was counted otherwise.",
        ge=0, le=1_000_000_000,
    )  # fmt: skip
    sale_memory_days: int = _setting(
        "Statistics", "days", 0,
        "How long a sale is remembered, so that a copy of it does not count and a refund takes it "
        "back. An older sale that arrives is a dead letter (`late`), a later refund is parked. 0: "
        "for ever, at about 60 bytes a sale.",
        ge=0, le=36_500,
    )  # fmt: skip
    parked_reversal_days: int = _setting(
        "Statistics", "days", 90,
        "How long a reversal that came before its sale waits for it. 0: for ever.",
        ge=0, le=36_500,
    )  # fmt: skip

    # Learning
    examples_url: str | None = _setting(
        "Learning", "folder or address", None,
        "Where the outcomes worker writes training examples and `secondsight retrain` reads them: "
        "a folder that both see, or `s3://bucket/prefix` (needs the extra `s3`).",
    )  # fmt: skip

    censor_after_days: int = _setting(
        "Learning", "days", 60,
        "A listing that is not sold so many days after it was listed becomes an example without a "
        "price. Days are those of the events, not the clock's.",
        ge=1, le=3_650,
    )  # fmt: skip
    outcome_memory_days: int = _setting(
        "Learning", "days", 30,
        "How many days after that a listing is remembered, so that a late sale or a refund still "
        "corrects its example. It bounds the state of the outcomes worker.",
        ge=1, le=3_650,
    )  # fmt: skip
    outcomes_flush_ms: int = _setting(
        "Learning", "ms", 10_000,
        "How often the outcomes worker writes examples and commits. More: larger Parquet parts, "
        "and more to read again after a crash.",
        ge=100, le=600_000,
    )  # fmt: skip

    control_share: float = _setting(
        "Learning", "", 0.0,
        "Share of listings, drawn by lot, whose price goes to `price.shadow` and not to the app: "
        "what they sell for tells what suggestions do to prices. A request for a better photo is "
        "never held back.",
        ge=0, le=0.5,
    )  # fmt: skip

    retrain_window_days: int = _setting(
        "Learning", "days", 180,
        "`secondsight retrain` learns from the examples that became known in so many days. Shorter "
        "follows the market faster, longer knows rare things better.",
        ge=1, le=3_650,
    )  # fmt: skip
    retrain_category_floor: int = _setting(
        "Learning", "examples", 200,
        "A category with fewer examples in the window gets its newest older ones, of the three "
        "windows before, up to so many.",
        ge=0, le=1_000_000,
    )  # fmt: skip
    retrain_seller_share: float = _setting(
        "Learning", "", 0.1,
        "Of one seller, `secondsight retrain` takes in each category the newest 20 examples, or so "
        "many times what all others have there: a guard against those who sell to themselves. A "
        "shop that is the only seller sets 0: no limit.",
        ge=0, le=1,
    )  # fmt: skip
    retrain_interval_days: float = _setting(
        "Learning", "days", 7.0,
        "`secondsight retrain --when-due` does nothing before the last one is so old, unless an "
        "early one was asked for.",
        gt=0, le=3_650,
    )  # fmt: skip
    drift_days: float = _setting(
        "Learning", "days", 14.0,
        "`secondsight drift` compares what was listed in so many days with what the live model "
        "learnt from.",
        gt=0, le=3_650,
    )  # fmt: skip
    drift_sample: int = _setting(
        "Learning", "listings", 1_000,
        "It looks at the photos of so many listings of either time, at most.",
        ge=200, le=100_000,
    )  # fmt: skip
    drift_psi: float = _setting(
        "Learning", "", 0.2,
        "It asks for an early retraining where the population stability index of a column is "
        "higher, beyond chance.",
        gt=0, le=100,
    )  # fmt: skip
    drift_error_growth: float = _setting(
        "Learning", "", 1.25,
        "It asks for one, too, where the error of late is so many times that of when the model was "
        "made.",
        gt=1, le=100,
    )  # fmt: skip
    drift_pause_days: float = _setting(
        "Learning", "days", 1.0,
        "It asks for none so soon after the last: a challenger that was refused would be refused "
        "again.",
        ge=0, le=3_650,
    )  # fmt: skip
    extractor_refresh_days: float = _setting(
        "Learning", "days", 90.0,
        "Age at which tuned image networks are tuned anew. Until then a retraining keeps the "
        "champion's, whose features are in the cache.",
        gt=0, le=3_650,
    )  # fmt: skip
    retrain_folder: Path | None = _setting(
        "Learning", "folder", None,
        "Photos of examples, what they show, and the state of a training that was killed. It may "
        "be deleted at any time, and costs the photos anew. Default: `secondsight/retrain` in the "
        "user's cache.",
    )  # fmt: skip
    mlflow_tracking_uri: str | None = _setting(
        "Learning", "address", None,
        "Each retraining is logged as a run of the experiment `secondsight` of this MLflow server "
        "(needs the extra `mlflow`). Not set: none is.",
    )  # fmt: skip

    # Suggestions
    bundle: Path | None = _setting(
        "Suggestions", "folder", None,
        "The model bundle that the suggest worker loads; with a registry, the one that answers as "
        "long as no announced one can.",
    )  # fmt: skip
    model_registry: str | None = _setting(
        "Suggestions", "folder or address", None,
        "Where announced bundles lie: a folder that all workers see, or `s3://bucket/prefix` "
        "(needs the extra `s3`). Set: the suggest worker uses the models that the topic `models` "
        "announces, and takes up new ones while it runs.",
    )  # fmt: skip
    suggest_batch_max_records: int = _setting(
        "Suggestions", "listings", 32, "Listings in one micro-batch, at most.", ge=1, le=4_096
    )
    suggest_batch_max_wait_ms: Milliseconds = _setting(
        "Suggestions", "ms", 20, "How long a micro-batch that is not full waits for more listings."
    )
    suggest_threads: int | None = _setting(
        "Suggestions", "threads", None, "Threads of the model. Not set: one a core.", ge=1, le=1_024
    )
    suggest_device: str = _setting(
        "Suggestions", "", "auto",
        "Where the image networks run: `cpu`; `cuda` or `cuda:N`, a GPU; `auto`, the first GPU if "
        "there is one.",
    )  # fmt: skip
    suggest_decode_processes: int = _setting(
        "Suggestions", "processes", 2, "Processes that decode photos.", ge=1, le=256
    )
    suggest_decode_memory_bytes: int = _setting(
        "Suggestions", "bytes", 1536 * 1024 * 1024,
        "Address space of a process that decodes photos; what takes more is unreadable.",
        ge=512 * 1024 * 1024, le=1 << 40,
    )  # fmt: skip

    hint_language: str = _setting(
        "Suggestions", "", "en",
        "Language of the hints for sellers beside the reasons of `reupload.requested`: `en`, `de`, "
        "or one for which the hint folder has a file.",
    )  # fmt: skip
    hint_folder: Path | None = _setting(
        "Suggestions", "folder", None,
        "Hints of your own, one file `LANGUAGE.json` a language; see docs/operating.md.",
    )  # fmt: skip

    # Photos
    image_file_roots: Annotated[tuple[Path, ...], NoDecode] = _setting(
        "Photos", "folders", (),
        "Folders below which `file:` photos may lie, separated by commas. None: `file:` is "
        "refused.",
    )  # fmt: skip
    image_s3_roots: Words = _setting(
        "Photos", "addresses", (),
        "Buckets or prefixes below which `s3:` photos may lie, such as `s3://bucket/prefix`, "
        "separated by commas (needs the extra `s3`). Endpoint, region and credentials are those of "
        "the AWS environment. None: `s3:` is refused.",
    )  # fmt: skip
    image_hosts: Words = _setting(
        "Photos", "", (),
        "Hosts from which photos may be fetched, separated by commas; `*.example.org` stands for "
        "every host below example.org. None: `http:` and `https:` are refused.",
    )  # fmt: skip
    image_ports: Annotated[tuple[int, ...], NoDecode] = _setting(
        "Photos", "ports", (80, 443), "Ports from which photos may be fetched, by commas."
    )
    image_private_networks_allowed: bool = _setting(
        "Photos", "", False,
        "Allows hosts of the list to have loopback and private addresses. Only for use on one "
        "machine: it lets whoever writes listings reach your network.",
    )  # fmt: skip
    image_max_bytes: int = _setting(
        "Photos", "bytes", 20 * 1024 * 1024, "The largest photo that is read.",
        ge=1_024, le=1 << 30,
    )  # fmt: skip
    image_connect_timeout_ms: int = _setting(
        "Photos", "ms", 3_000, "How long connecting to a host may take.", ge=1, le=600_000
    )
    image_timeout_ms: int = _setting(
        "Photos", "ms", 10_000, "How long a photo may take in all, with its redirects.",
        ge=1, le=600_000,
    )  # fmt: skip
    image_fetches_at_once: int = _setting(
        "Photos", "photos", 32,
        "Photos that are fetched or wait for a decoder at once; times the largest photo, the "
        "memory that they may take.", ge=1, le=10_000,
    )  # fmt: skip
    image_fetches_per_host: int = _setting(
        "Photos", "photos", 8,
        "How many of them may be of one host or bucket, so that a slow one leaves room for others. "
        "One that serves all photos from far away may need more.", ge=1, le=10_000,
    )  # fmt: skip
    image_max_redirects: int = _setting(
        "Photos", "redirects", 3, "Redirects that are followed, each checked anew.", ge=0, le=20
    )

    # Training
    resnet18_weights: Path | None = _setting(
        "Training", "file", None,
        "ImageNet weights of ResNet-18, where they are not in the torchvision hub cache.",
    )  # fmt: skip
    resnet50_weights: Path | None = _setting(
        "Training", "file", None, "The same of ResNet-50."
    )  # fmt: skip

    # Health and logs
    traces: bool = _setting(
        "Health and logs", "", False,
        "Write a span for each record that carries a `traceparent`, by OpenTelemetry (needs the "
        "extra `otel`). Its own variables, `OTEL_EXPORTER_OTLP_ENDPOINT` and so on, say where to.",
    )  # fmt: skip
    health_port: int | None = _setting(
        "Health and logs", "port", None,
        "Serves `/healthz`, `/readyz`, `/metrics` and, of the stats worker, `/stats/`. Not set: "
        "off; 0: any free port, in the log.",
        ge=0, le=65_535,
    )  # fmt: skip
    health_host: str = _setting(
        "Health and logs", "", "0.0.0.0",  # noqa: S104 - probes come from outside the pod
        "The address it listens on.", min_length=1,
    )  # fmt: skip
    advertised_address: str | None = _setting(
        "Health and logs", "host:port", None,
        "Where other machines reach this worker's health server. Set: a stats worker that is asked "
        "about a seller of this one's partitions sends the asker here.",
        max_length=200,
    )  # fmt: skip
    heartbeat_limit_ms: int = _setting(
        "Health and logs", "ms", 60_000,
        "`/healthz` fails when the poll loop has not come round for this long.",
        ge=1_000, le=3_600_000,
    )  # fmt: skip
    log_level: Literal["debug", "info", "warning", "error"] = _setting(
        "Health and logs", "", "info", "The least severe messages that are logged."
    )
    log_format: Literal["auto", "json", "console"] = _setting(
        "Health and logs", "", "auto",
        "`json`: one object a line; `console`: for people; `auto`: for people on a terminal.",
    )  # fmt: skip

    def __init__(self, **values: Any) -> None:
        _refuse_unknown_variables()
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise ConfigurationError(_sentences(error)) from None

    @field_validator("kafka_bootstrap_servers")
    @classmethod
    def _brokers(cls, value: str | None) -> str | None:
        for broker in value.split(",") if value is not None else ():
            match = _BROKER.fullmatch(broker.strip())
            if match is None or not 0 < int(match["port"] or 9092) < 65_536:
                raise ValueError(f"{broker.strip()!r} is not host:port, as in localhost:9092")
        return value

    @field_validator("advertised_address")
    @classmethod
    def _address(cls, value: str | None) -> str | None:
        if value is None:
            return None
        match = _BROKER.fullmatch(value)
        if match is None or match[1] or not match["port"] or not 0 < int(match["port"]) < 65_536:
            raise ValueError(f"{value!r} is not host:port, as in stats-0.stats:8080")
        return value

    @field_validator("topic_prefix", "instance_id")
    @classmethod
    def _name(cls, value: str | None) -> str | None:
        if value is not None and not _NAME.fullmatch(value):
            raise ValueError("only letters, digits, `.`, `_` and `-` may stand in it")
        return value

    @field_validator("kafka_options", mode="before")
    @classmethod
    def _options(cls, value: object) -> dict[str, str]:
        options = kafka_options.parse(value)
        kafka_options.check(options)
        return options

    @field_validator("checkpoint_url", "examples_url")
    @classmethod
    def _checkpoint_folder(cls, value: str | None) -> str | None:
        return value if value is None or "://" in value else str(_absolute(Path(value)))

    @field_validator("standby", mode="before")
    @classmethod
    def _standby(cls, value: object) -> object:
        words = {"true": "all", "false": 0}
        return words.get(str(value).lower(), value)

    @field_validator(
        "image_file_roots", "image_s3_roots", "image_hosts", "image_ports", mode="before"
    )
    @classmethod
    def _by_commas(cls, value: object) -> object:
        if isinstance(value, str):
            return [part.strip() for part in value.split(",") if part.strip()]
        return value

    @field_validator("image_hosts")
    @classmethod
    def _hosts(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        hosts = tuple(host.lower() for host in value)
        for host in hosts:
            if not _IMAGE_HOST.fullmatch(host):
                raise ValueError(
                    f"{host!r} is not a host; write names such as photos.example.org or "
                    "*.example.org, without a scheme, port or path"
                )
        return hosts

    @field_validator("image_ports")
    @classmethod
    def _ports(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        for port in value:
            if not 0 < port < 65_536:
                raise ValueError(f"{port} is not a port; ports are 1 to 65535")
        return value

    @field_validator("data_dir", "bundle", "hint_folder", "resnet18_weights", "resnet50_weights")
    @classmethod
    def _folder(cls, value: Path | None) -> Path | None:
        return None if value is None else _absolute(value)

    @field_validator("suggest_device")
    @classmethod
    def _device(cls, value: str) -> str:
        if not DEVICE.fullmatch(value):
            raise ValueError("write auto, cpu, cuda or cuda:N")
        return value

    @field_validator("image_file_roots")
    @classmethod
    def _folders(cls, value: tuple[Path, ...]) -> tuple[Path, ...]:
        return tuple(_absolute(folder) for folder in value)

    @model_validator(mode="after")
    def _timeouts_fit(self) -> Self:
        if self.max_poll_interval_ms < self.session_timeout_ms:
            raise ValueError(
                f"{PREFIX}MAX_POLL_INTERVAL_MS ({self.max_poll_interval_ms}) should be at least "
                f"{PREFIX}SESSION_TIMEOUT_MS ({self.session_timeout_ms})"
            )
        return self

    def topic(self, name: str) -> str:
        """Give the name that a topic of the contract has on the cluster."""
        return self.topic_prefix + name

    def shown(self) -> dict[str, Any]:
        """Give every value in JSON's types, the secrets among `kafka_options` hidden."""
        values = self.model_dump(mode="json")
        values["kafka_options"] = kafka_options.hide_secrets(self.kafka_options)
        return values


def environment_name(field: str) -> str:
    """Give the environment variable of a setting."""
    return PREFIX + field.upper()


def _absolute(folder: Path) -> Path:
    try:
        return folder.expanduser().absolute()
    except RuntimeError:
        raise ValueError(f"no home folder is known for {folder}; write the whole path") from None


def _refuse_unknown_variables() -> None:
    known = [environment_name(field) for field in Settings.model_fields]
    for name in os.environ:
        if name.upper().startswith(PREFIX) and name.upper() not in known:
            near = difflib.get_close_matches(name.upper(), known, n=1, cutoff=0.0)
            raise ConfigurationError(
                f"{name} is not a setting; the nearest is {near[0]}. "
                "`secondsight settings --markdown` lists them all."
            )


def _sentences(error: ValidationError) -> str:
    sentences = []
    for detail in error.errors():
        problem = detail["msg"].removeprefix("Value error, ").replace("Input should", "it should")
        if not detail["loc"]:
            sentences.append(problem)
            continue
        field = str(detail["loc"][0])
        if detail["type"] == "extra_forbidden":
            near = difflib.get_close_matches(field, Settings.model_fields, n=1, cutoff=0.0)
            sentences.append(f"{field} is not a setting; the nearest is {near[0]}")
        elif field == "kafka_options":  # its value may hold a password
            sentences.append(f"{environment_name(field)}: {problem}")
        else:
            sentences.append(f"{environment_name(field)}={detail['input']!s:.100}: {problem}")
    return "; ".join(sentences)
