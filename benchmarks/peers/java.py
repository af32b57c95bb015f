"""Kafka Streams: its jars, fetched beside those of the local Kafka, and the compiled topologies."""

import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from jgo.maven import MavenContext

from workers.local.jars import cache_folder, kafka_jars

SOURCES = Path(__file__).with_name("java")
PINNED = Path(__file__).with_name("streams-jars.json")
# On one core: no collector beside the thread under test; what it has to keep is the 256 MB cache.
OPTIONS = ("-Xms1g", "-Xmx1g", "-XX:+UseSerialGC")
LOG4J = """rootLogger.level = error
rootLogger.appenderRef.stderr.ref = stderr
appender.stderr.type = Console
appender.stderr.name = stderr
appender.stderr.target = SYSTEM_ERR
appender.stderr.layout.type = PatternLayout
appender.stderr.layout.pattern = %p %c{1} %m%n
"""


def java_command(folder: Path, say: Callable[[str], None]) -> list[str]:
    """Compile the topologies into `folder`; return the start of a command that runs them.

    Raises:
        SystemExit: there is no compiler, a jar has another checksum, or the sources are wrong.
        WorkersError: the jars could not be fetched.
    """
    compiler = shutil.which("javac")
    if compiler is None:
        raise SystemExit(
            "There is no javac, so Kafka Streams cannot be measured. On Debian or Ubuntu: apt "
            "install openjdk-17-jdk-headless (or a later one). Without: --only ours,quix,faust"
        )
    class_path = os.pathsep.join(map(str, [*_streams_jars(say), *kafka_jars(cache_folder(), say)]))
    folder.mkdir(parents=True, exist_ok=True)
    sources = sorted(map(str, SOURCES.glob("*.java")))
    done = subprocess.run(
        [compiler, "-d", str(folder), "-cp", class_path, *sources],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise SystemExit(f"The Java sources do not compile:\n{done.stderr}")
    (folder / "log4j2.properties").write_text(LOG4J, encoding="utf-8")
    java = Path(compiler).resolve().with_name("java")
    return [
        str(java),
        *OPTIONS,
        f"-Dlog4j2.configurationFile={folder / 'log4j2.properties'}",
        *("-cp", f"{folder}{os.pathsep}{class_path}", "Peer"),
    ]


def _streams_jars(say: Callable[[str], None]) -> list[Path]:
    jars = []
    for coordinate, checksum in json.loads(PINNED.read_text(encoding="utf-8")).items():
        _, artifact, version = coordinate.split(":")
        jar = cache_folder() / f"{artifact}-{version}.jar"
        if not jar.exists():
            say(f"Fetching {artifact} {version}, once")
            _fetch(coordinate, jar)
        if hashlib.sha256(jar.read_bytes()).hexdigest() != checksum:
            raise SystemExit(f"{jar} is damaged, for its checksum is not the pinned one: delete it")
        jars.append(jar)
    return jars


def _fetch(coordinate: str, jar: Path) -> None:
    jar.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=jar.parent, prefix=".fetching-") as scratch:
        context = MavenContext(repo_cache=Path(scratch))
        context.create_dependency(coordinate).artifact.resolve().replace(jar)  # appears whole
