"""The shell around the processors: Kafka, time, HTTP, configuration, state."""
