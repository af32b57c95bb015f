"""The configuration of the one-machine Kafka: one node that is both broker and controller."""

LOG4J = """\
appender.file.type = File
appender.file.name = file
appender.file.fileName = server.log
appender.file.append = false
appender.file.layout.type = PatternLayout
appender.file.layout.pattern = %d %p %m (%c{1})%n
rootLogger.level = warn
rootLogger.appenderRef.file.ref = file
"""


def server_properties(*, log_dir: str, port: int, controller_port: int) -> str:
    """Return the text of server.properties for a node whose listeners are on loopback only.

    Nothing expires by itself: a replay carries record timestamps of long ago, and whoever names a
    folder may come back to it after months. A topic's own retention still holds.
    """
    settings = {
        "process.roles": "broker,controller",
        "node.id": 1,
        "controller.quorum.bootstrap.servers": f"127.0.0.1:{controller_port}",
        "listeners": f"PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}",
        "controller.listener.names": "CONTROLLER",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "log.dirs": log_dir,
        "auto.create.topics.enable": "false",
        # One node holds one replica; few partitions, for each is a folder with four files.
        "offsets.topic.num.partitions": 8,
        "offsets.topic.replication.factor": 1,
        "transaction.state.log.num.partitions": 8,
        "transaction.state.log.replication.factor": 1,
        "transaction.state.log.min.isr": 1,
        "share.coordinator.state.topic.replication.factor": 1,
        "share.coordinator.state.topic.min.isr": 1,
        "group.initial.rebalance.delay.ms": 0,  # three seconds for nobody on one machine
        # At the defaults of 6 s and 10 s no worker could take over from a killed one in seconds.
        "group.min.session.timeout.ms": 1_000,
        "transaction.abort.timed.out.transaction.cleanup.interval.ms": 1_000,
        "log.retention.ms": -1,
        "log.roll.hours": 24 * 365 * 10,  # old timestamps would roll a segment for every week
        "offsets.retention.minutes": 60 * 24 * 365,
        # The cleaner's default of 128 MiB is a quarter of the heap.
        "log.cleaner.dedupe.buffer.size": 16 * 2**20,
        "message.max.bytes": 2 * 2**20,  # an event is at most 1 MiB; a dead letter adds headers
        "num.network.threads": 2,
        "num.io.threads": 4,
    }
    return "".join(f"{name}={value}\n" for name, value in settings.items())
