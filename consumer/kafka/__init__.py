"""Kafka's side of the shell: records in, offsets, dead letters; ``client`` talks to brokers."""
