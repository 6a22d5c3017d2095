"""The browser of the session, and a worker for it to look at.

Where a machine has no Chromium the tests are skipped with the reason; in CI (the variable
``CI`` set) that is a failure instead.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Protocol

import pytest

from consumer.telemetry.server import StatusServer
from tests.support.chromium import Chromium, ChromiumUnavailableError, Tab
from tests.support.otlp import record, resource_spans, span
from tests.support.shown_shops import ShownShops

HOSTILE = [
    "<img src=x onerror=\"document.title='owned'\">",
    "</td><script>document.title='owned'</script>",
    "javascript:alert(1)//\u202e\u0000 &amp; '\"`${document.title='owned'}",
    "long " + "x" * 2_000,
]
"""Names that would do something if a page took them for markup."""


class OpenTab(Protocol):
    """Opens the page in a tab of the test's own."""

    def __call__(
        self, *, width: int = 1280, height: int = 900, scheme: str = "light", path: str = "/"
    ) -> Tab: ...


@pytest.fixture(scope="session")
def chromium() -> Iterator[Chromium]:
    """A browser, shared by the session's tests."""
    try:
        browser = Chromium()
    except ChromiumUnavailableError as error:
        if os.environ.get("CI"):
            pytest.fail(f"needed in CI: {error}")
        pytest.skip(str(error))
    with browser:
        yield browser


@pytest.fixture(scope="module")
def shops() -> ShownShops:
    """A worker after two minutes of the demo's shops, and one of a tenant with hostile names."""
    shops = ShownShops()
    evil = [
        record(resource_spans([span(name, trace_id=bytes([number] * 16))], service=name))
        for number, name in enumerate(HOSTILE, 1)
    ]
    shops.run(120, more={"evil": evil})
    return shops


@pytest.fixture(scope="module")
def server(shops: ShownShops) -> Iterator[StatusServer]:
    with shops.server() as running:
        yield running


@pytest.fixture
def open_tab(chromium: Chromium, server: StatusServer) -> Iterator[OpenTab]:
    """Tabs that are closed at the end of the test, with nothing to complain about."""
    tabs: list[Tab] = []

    def open_one(
        *, width: int = 1280, height: int = 900, scheme: str = "light", path: str = "/"
    ) -> Tab:
        tab = Tab(chromium, width=width, height=height, scheme=scheme)
        tabs.append(tab)
        tab.open(f"http://127.0.0.1:{server.port}{path}")
        return tab

    yield open_one
    for tab in tabs:
        complaints = tab.complaints()
        tab.close()
        assert complaints == []
