"""Files of spans, without Kafka: read them, and see what a worker would make of them."""
