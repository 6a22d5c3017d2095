"""The page of a real worker: that of the demo, with spans from end to end."""

from __future__ import annotations

import re
import signal
import sys
from pathlib import Path

from tests.support.chromium import Chromium, Tab
from tests.support.processes import ChildProcess, wait_until

COMMAND = [sys.executable, "-m", "consumer", "demo", "--plain", "--otlp-port", "0"]


def test_the_demo_serves_a_page_that_fills_with_its_traffic(
    chromium: Chromium, tmp_path: Path
) -> None:
    log = tmp_path / "demo.log"
    with ChildProcess(COMMAND, log) as demo, Tab(chromium) as tab:
        demo.start()
        wait_until(lambda: "Look at" in demo.log_text(), "the address of the page")
        found = re.search(r"Look at (\S+)", demo.log_text())
        assert found
        tab.open(found[1])
        tab.wait_for("document.querySelectorAll('.node .rim').length > 0", 60)
        tab.wait_for("document.querySelectorAll('#operations-rows tr').length > 5", 60)
        tab.wait_for("document.querySelector('#sinks .pill').textContent === 'working'", 60)
        assert tab.run("[...document.getElementById('tenant').options].map(o => o.value)") == [
            "acme",
            "globex",
        ]
        assert tab.complaints() == []
        demo.signal(signal.SIGINT)
        demo.wait(60)
