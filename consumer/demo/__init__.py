"""``spanmill demo``: the whole chain in one command, without a broker or a database.

Two web shops write spans to librdkafka's mock Kafka, a worker process turns them into
metrics, and a receiver of remote write shows what arrived.
"""

from consumer.demo.run import DemoOptions, run_demo

__all__ = ["DemoOptions", "run_demo"]
