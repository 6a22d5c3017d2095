import json
import re
import urllib.request
from collections.abc import Iterator
from importlib.resources import files
from typing import Any
from urllib.error import HTTPError

import pytest

from consumer.telemetry.server import Pause, StatusServer
from tests.support.shown_shops import SINK, ShownShops

ASSETS = {each.name: each.read_text() for each in (files("consumer.page") / "assets").iterdir()}


@pytest.fixture(scope="module")
def shops() -> ShownShops:
    shops = ShownShops()
    shops.run(30)
    return shops


@pytest.fixture(scope="module")
def server(shops: ShownShops) -> Iterator[StatusServer]:
    with shops.server() as running:
        yield running


def get(server: StatusServer, path: str) -> tuple[int, dict[str, str], str]:
    url = f"http://127.0.0.1:{server.port}{path}"
    try:
        with urllib.request.urlopen(url, timeout=10) as response:
            return response.status, dict(response.headers), response.read().decode()
    except HTTPError as error:
        with error:
            return error.code, dict(error.headers), error.read().decode()


def answer(server: StatusServer, path: str) -> dict[str, Any]:
    code, _, body = get(server, path)
    assert code == 200, body
    found: dict[str, Any] = json.loads(body)
    return found


def test_the_page_and_all_it_asks_for_are_served(server: StatusServer) -> None:
    code, headers, body = get(server, "/")
    assert code == 200
    assert headers["content-type"].startswith("text/html")
    asked = re.findall(r'(?:href|src)="([^"#]+)"', body)
    assert {"page/page.css", "page/page.js", "status", "metrics"} <= set(asked)
    for path in asked:
        if not path.startswith("data:"):
            assert get(server, f"/{path}")[0] == 200, path


def test_every_module_that_a_script_imports_is_served(server: StatusServer) -> None:
    imported = {
        name for text in ASSETS.values() for name in re.findall(r'from "\./([\w.]+)"', text)
    }
    assert imported
    for name in imported:
        code, headers, _ = get(server, f"/page/{name}")
        assert (code, headers["content-type"]) == (200, "text/javascript; charset=utf-8")


@pytest.mark.parametrize("path", ["/", "/page/page.js", "/api/v1/worker", "/api/v1/traffic"])
def test_each_answer_has_a_strict_policy(server: StatusServer, path: str) -> None:
    _, headers, _ = get(server, path)
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"


def test_the_assets_name_no_other_origin_and_make_no_markup_of_texts() -> None:
    for name, text in ASSETS.items():
        addresses = set(re.findall(r"\w+://[^\s\"'`)]+", text)) - {"http://www.w3.org/2000/svg"}
        assert not addresses, name
        assert not re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(", text)
        assert not re.search(r"<[^>]+\s(on\w+|style)=", text), name


def test_the_worker_is_told_with_its_parts(server: StatusServer, shops: ShownShops) -> None:
    shops.status.paused = ("sink",)
    shops.status.pauses = (Pause("sink", 5),)
    seen = answer(server, "/api/v1/worker")
    assert seen["phase"] == "assigned"
    assert seen["paused"] == ["sink"]
    assert seen["pauses"] == [{"reason": "sink", "since_ms": 5, "until_ms": None}]
    assert [each["partition"] for each in seen["partitions"]] == [0, 1]
    assert [each["tenant"] for each in seen["tenants"]] == ["acme", "globex"]
    (sink,) = seen["sinks"]
    assert (sink["name"], sink["state"]) == (SINK, "working")
    assert sink["samples_sent"] > 0


def test_the_traffic_of_a_tenant_is_told(server: StatusServer) -> None:
    seen = answer(server, "/api/v1/traffic?tenant=globex")
    assert {"time_ms", "window_seconds", "series", "rate", "error_share", "history"} < set(seen)
    assert seen["operations_left_out"] == seen["edges_left_out"] == 0
    assert set(seen["edges"][0]) == {
        *("client", "client_kind", "server", "server_kind", "connection_type"),
        *("rate", "error_share", "history", "failed_history", "mean_seconds", "path"),
    }


def test_an_unknown_tenant_is_not_found(server: StatusServer) -> None:
    code, _, body = get(server, "/api/v1/traffic?tenant=%3Cscript%3E")
    assert code == 404
    assert "script" not in body


def test_the_configuration_is_without_secrets(server: StatusServer) -> None:
    seen = answer(server, "/api/v1/configuration")
    assert seen["kafka"]["topic"] == "otlp_spans"
    assert "hunter2" not in json.dumps(seen)


def test_the_endpoint_that_the_worker_waits_for_is_told(
    server: StatusServer, shops: ShownShops
) -> None:
    shops.sinks.blocked = SINK
    try:
        assert answer(server, "/api/v1/worker")["sinks"][0]["state"] == "blocking"
    finally:
        shops.sinks.blocked = None
