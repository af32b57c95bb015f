import os
from pathlib import Path

import pytest

from workers.errors import ConfigurationError
from workers.runtime.settings import Settings, environment_name


@pytest.fixture(autouse=True)
def no_settings_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.upper().startswith("SECONDSIGHT_"):
            monkeypatch.delenv(name)


def test_the_environment_sets_and_keywords_win(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECONDSIGHT_PARTITIONS", "7")
    monkeypatch.setenv("SECONDSIGHT_MAX_IDLE_MS", "250")
    settings = Settings(max_idle_ms=0)
    assert (settings.partitions, settings.max_idle_ms) == (7, 0)


def test_an_empty_variable_counts_as_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECONDSIGHT_HEALTH_PORT", "")
    assert Settings().health_port is None


@pytest.mark.parametrize("field", Settings.model_fields)
def test_every_setting_is_described(field: str) -> None:
    description = Settings.model_fields[field].description
    assert description
    assert description.endswith(".")


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("partitions", "0", "greater than or equal to 1"),
        ("partitions", "four", "valid integer"),
        ("dead_letter_max_ratio", "1.5", "less than or equal to 1"),
        ("dead_letter_max_ratio", "nan", "finite"),
        ("batch_max_wait_ms", "-1", "greater than or equal to 0"),
        ("health_port", "65536", "less than or equal to 65535"),
        ("log_level", "loud", "'debug', 'info', 'warning' or 'error'"),
        ("log_format", "xml", "'auto', 'json' or 'console'"),
        ("topic_prefix", "a/b", "only letters, digits"),
        ("topic_prefix", "a\n", "only letters, digits"),
        ("topic_prefix", "a" * 101, "at most 100"),
        ("instance_id", "pod 1", "only letters, digits"),
        ("advertised_address", "stats-0", "is not host:port"),
        ("advertised_address", "http://stats-0:80", "is not host:port"),
        ("advertised_address", "stats-0:80/x", "is not host:port"),
        ("advertised_address", "stats-0:0", "is not host:port"),
        ("kafka_bootstrap_servers", "one two", "is not host:port"),
        ("kafka_bootstrap_servers", "one:9092,", "is not host:port"),
        ("kafka_bootstrap_servers", "one:99999", "is not host:port"),
        ("suggest_device", "gpu", "write auto, cpu, cuda or cuda:N"),
        ("suggest_device", "cuda:0,cuda:1", "write auto, cpu, cuda or cuda:N"),
        ("image_hosts", "https://example.org", "is not a host"),
        ("image_hosts", "example.org:443", "is not a host"),
        ("image_hosts", "*", "is not a host"),
        ("image_ports", "80,http", "valid integer"),
        ("image_ports", "0", "is not a port"),
        ("image_private_networks_allowed", "perhaps", "valid boolean"),
        ("kafka_options", "{", "not JSON"),
        ("kafka_options", "[1]", "not a JSON object"),
        ("kafka_options", '{"debug": null}', "value of debug should be"),
        ("kafka_options", '{"no.such.option": 1}', "no.such.option"),
        ("kafka_options", '{"security.protocol": "carrier pigeon"}', "security.protocol"),
        ("max_poll_interval_ms", "9999", "at least SECONDSIGHT_SESSION_TIMEOUT_MS (10000)"),
    ],
)
def test_a_value_that_makes_no_sense_is_told(
    field: str, value: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(environment_name(field), value)
    with pytest.raises(ConfigurationError) as error:
        Settings()
    assert f"SECONDSIGHT_{field.upper()}" in str(error.value)
    assert said in str(error.value)
    assert error.value.exit_code == 3


def test_all_wrong_values_are_told_at_once() -> None:
    with pytest.raises(ConfigurationError, match=r"PARTITIONS=0: .*; SECONDSIGHT_LOG_LEVEL=loud: "):
        Settings(partitions=0, log_level="loud")


def test_an_unknown_variable_is_refused_with_the_nearest_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SECONDSIGHT_PARTITION", "3")
    with pytest.raises(ConfigurationError, match="the nearest is SECONDSIGHT_PARTITIONS"):
        Settings()


def test_an_unknown_keyword_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(ConfigurationError, match="the nearest is image_hosts"):
        Settings(image_host="example.org")


@pytest.mark.parametrize(
    "option",
    [
        "enable.auto.commit",
        "enable.auto.offset.store",
        "transactional.id",
        "isolation.level",
        "group.id",
        "group.instance.id",
        "enable.idempotence",
        "acks",
        "partitioner",
        "bootstrap.servers",
    ],
)
def test_options_on_which_exactly_once_rests_are_refused(option: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{option} cannot be set here: "):
        Settings(kafka_options={option: "x"})


def test_kafka_options_become_what_librdkafka_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(
        "SECONDSIGHT_KAFKA_OPTIONS",
        '{"socket.keepalive.enable": true, "linger.ms": 2.5, "client.id": "7"}',
    )
    assert Settings().kafka_options == {
        "socket.keepalive.enable": "true",
        "linger.ms": "2.5",
        "client.id": "7",
    }


def test_secrets_are_not_shown() -> None:
    settings = Settings(
        kafka_options={
            "security.protocol": "SASL_PLAINTEXT",
            "sasl.mechanism": "PLAIN",
            "sasl.username": "shop",
            "sasl.password": "hunter2",
        }
    )
    assert settings.shown()["kafka_options"] == {
        "security.protocol": "SASL_PLAINTEXT",
        "sasl.mechanism": "PLAIN",
        "sasl.username": "shop",
        "sasl.password": "(hidden)",
    }
    assert "hunter2" not in repr(settings)


@pytest.mark.parametrize(
    "options", ['{"sasl.password": "hunter2", "acks": "1"}', '{"sasl.password": "hunter2"']
)
def test_an_error_does_not_tell_a_password(options: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECONDSIGHT_KAFKA_OPTIONS", options)
    with pytest.raises(ConfigurationError) as error:
        Settings()
    assert "hunter2" not in str(error.value)


def test_lists_are_separated_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECONDSIGHT_IMAGE_HOSTS", "Photos.example.org, *.example.com,127.0.0.1")
    monkeypatch.setenv("SECONDSIGHT_IMAGE_PORTS", "443,8080")
    monkeypatch.setenv("SECONDSIGHT_IMAGE_FILE_ROOTS", "/a,/b c")
    settings = Settings()
    assert settings.image_hosts == ("photos.example.org", "*.example.com", "127.0.0.1")
    assert settings.image_ports == (443, 8080)
    assert settings.image_file_roots == (Path("/a"), Path("/b c"))


def test_data_lie_where_the_desktop_standard_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", "/data")
    assert Settings().data_dir == Path("/data/secondsight")
    monkeypatch.delenv("XDG_DATA_HOME")
    monkeypatch.setenv("HOME", "/home/ann")
    assert Settings().data_dir == Path("/home/ann/.local/share/secondsight")
    assert Settings(data_dir="~/x").data_dir == Path("/home/ann/x")


def test_the_prefix_stands_before_a_topic() -> None:
    assert Settings(topic_prefix="shop-a.").topic("models") == "shop-a.models"
