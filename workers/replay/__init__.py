"""Playing datasets and recorded logs into Kafka."""
