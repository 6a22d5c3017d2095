"""Stands in for the worker: ``stub_worker.py MODE CONFIG``.

``good`` writes a few samples for each tenant until SIGTERM, ``half`` knows one tenant only,
``dying`` ends at once.
"""

from __future__ import annotations

import signal
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import snappy
import urllib3
import yaml

from consumer.clock import SystemClock
from consumer.demo.write_request import _WriteRequest

METRICS = b"""# TYPE spanmill_spans_received_total counter
spanmill_spans_received_total{tenant="acme"} 1e9
# TYPE spanmill_partition_lag_records gauge
spanmill_partition_lag_records{partition="0"} 3
"""
SERIES = (
    ("traces_spanmetrics_calls_total", {"service": "web", "span_name": "GET /"}),
    ("traces_service_graph_request_total", {"client": "user", "server": "web"}),
)


class Answers(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(METRICS)

    def log_message(self, *_: object) -> None:
        pass


def send(url: str, tenant: str, tick: int) -> None:
    request = _WriteRequest()
    now_ms = SystemClock().now_ms()
    for name, labels in SERIES:
        series = request.timeseries.add()
        for label, value in {"__name__": name, **labels}.items():
            series.labels.add(name=label, value=value)
        if tick == 1:
            series.samples.add(timestamp=now_ms - 61_000, value=0)
        series.samples.add(timestamp=now_ms, value=10 * tick)
    body = snappy.compress(request.SerializeToString())
    urllib3.request("POST", url, body=body, headers={"X-Scope-OrgID": tenant})


def main() -> int:
    mode, config = sys.argv[1], yaml.safe_load(Path(sys.argv[2]).read_text())
    sys.stderr.write(f"stub worker: {mode}\n")
    if mode == "dying":
        return 7
    stopped = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopped.set())
    server = ThreadingHTTPServer(("127.0.0.1", config["server"]["port"]), Answers)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = config["metrics_generator"]["storage"]["remote_write"][0]["url"]
    tick = 0
    while not stopped.wait(0.1):
        tick += 1
        for tenant in ("acme",) if mode == "half" else ("acme", "globex"):
            send(url, tenant, tick)
    return 0


if __name__ == "__main__":
    sys.exit(main())
