import os
from pathlib import Path

import pytest

from tests.deploy.image.conftest import Image
from workers.topics import check_topics


def test_it_runs_as_a_numeric_user_that_may_write_nothing_but_tmp(image: Image) -> None:
    assert image.config["User"] == "10001:10001"
    done = image.run("sh", "-c", "id -u; touch /tmp/here && echo written; touch /there")
    assert done.stdout.splitlines() == ["10001", "written"]
    assert "Read-only file system" in done.stderr


def test_the_command_is_there(image: Image) -> None:
    assert image.config["Entrypoint"] == ["secondsight"]
    done = image.run("secondsight", "--help")
    assert done.returncode == 0, done.stderr
    assert "Keep sold-price statistics" in done.stdout


def test_it_makes_the_topics_on_a_broker(image: Image, kafka: str, topic_prefix: str) -> None:
    told = {
        "SECONDSIGHT_KAFKA_BOOTSTRAP_SERVERS": kafka,
        "SECONDSIGHT_TOPIC_PREFIX": topic_prefix,
        "SECONDSIGHT_PARTITIONS": "3",
    }
    done = image.run("secondsight", "topics", **told)
    assert done.returncode == 0, done.stderr
    states = check_topics(
        {"bootstrap.servers": kafka}, prefix=topic_prefix, partitions=3, replication_factor=1
    )
    assert [state.conflicts for state in states] == [()] * len(states)


@pytest.mark.parametrize("worker", ["stats", "suggest"])
def test_a_worker_without_its_settings_says_so_and_ends_with_3(image: Image, worker: str) -> None:
    done = image.run("secondsight", worker)
    assert done.returncode == 3
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1


def test_all_that_the_workers_need_is_there_and_torch_is_not(image: Image) -> None:
    modules = (
        "workers.stats.worker, workers.suggest.worker, models.pricer, onnxruntime, faust, s3fs"
    )
    assert image.run("python3", "-c", f"import {modules}").returncode == 0
    assert image.run("python3", "-c", "import torch").returncode == 1


def test_no_compiler_installer_or_cache_is_left(image: Image) -> None:
    for name in ("gcc", "cc", "g++", "make"):
        assert not (image.root / "usr" / "bin" / name).exists(), name
    assert list((image.root / "opt" / "secondsight" / "bin").glob("pip*")) == []
    for cache in ("root/.cache", "tmp", "src"):
        folder = image.root / cache
        assert not folder.exists() or list(folder.iterdir()) == [], cache


def test_nothing_in_it_can_raise_privileges(image: Image) -> None:
    raising = [
        path
        for folder, _, names in os.walk(image.root / "opt")
        for path in (Path(folder) / name for name in names)
        if not path.is_symlink() and path.stat().st_mode & 0o6000
    ]
    assert raising == []


def test_it_is_labelled_and_says_whether_it_is_well(image: Image) -> None:
    labels = image.config["Labels"]
    assert labels["org.opencontainers.image.version"] == "1.2.3"
    assert labels["org.opencontainers.image.licenses"] == "Apache-2.0"
    kind, *command = image.config["Healthcheck"]["Test"]
    assert kind == "CMD"
    assert image.run(*command).returncode == 0  # nothing is served, so there is nothing to ask
    assert image.run(*command, SECONDSIGHT_HEALTH_PORT="1").returncode == 1


def test_it_is_small(image: Image) -> None:
    assert image.size_bytes < 1.3e9  # with torch from the package index it would be 6e9
