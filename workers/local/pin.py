"""Writes the list of pinned jars anew; for those who move to another version of Kafka.

Run as ``python -m workers.local.pin 4.3.1``. The list is resolved from Maven Central's metadata by
jgo, every jar is fetched, and its SHA-256 is what every later start is held to.
"""

import argparse
import hashlib
import json
import tempfile
from pathlib import Path

from jgo.maven import MavenContext

from workers.local.jars import PINNED

# Kafka's own artifact brings log4j but nothing that connects SLF4J with it: without this one the
# broker logs nothing, and a failed start could not be explained.
LOGGING = "org.apache.logging.log4j:log4j-slf4j-impl"


def pin(version: str) -> dict[str, str]:
    """Resolve Kafka `version` and return each jar's coordinate with its SHA-256 in hex."""
    with tempfile.TemporaryDirectory() as folder:
        context = MavenContext(repo_cache=Path(folder))
        kafka = context.create_dependency(f"org.apache.kafka:kafka_2.13:{version}")
        roots, transitive = context.resolver.resolve([kafka])
        artifacts = [d.artifact for d in roots]
        artifacts += [d.artifact for d in transitive if d.scope in ("compile", "runtime")]
        log4j = next(a.version for a in artifacts if a.artifactId == "log4j-core")
        artifacts.append(context.create_dependency(f"{LOGGING}:{log4j}").artifact)
        return {
            f"{a.groupId}:{a.artifactId}:{a.version}": hashlib.sha256(
                a.resolve().read_bytes()
            ).hexdigest()
            for a in sorted(artifacts, key=lambda a: (a.groupId, a.artifactId))
        }


def main() -> None:
    """Rewrite the list beside this module for the version named on the command line."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("version", help="for example 4.3.1")
    version = parser.parse_args().version
    pinned = {"kafka": version, "jars": pin(version)}
    PINNED.write_text(json.dumps(pinned, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
