"""A real Apache Kafka for one machine: its jars, its Java runtime, its life as a child."""
