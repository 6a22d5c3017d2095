"""Makes pictures of the page: ``python -m tests.browser.picture FILE [LOOK]``.

``readme`` is the upper part; ``light``, ``dark`` and ``phone`` are the whole of it.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tests.support.chromium import Chromium, Tab
from tests.support.shown_shops import ShownShops

LOOKS = {
    "readme": (1280, 1150),
    "light": (1280, 900),
    "dark": (1280, 900),
    "phone": (390, 844),
}


def make_picture(file: Path, look: str) -> None:
    """Let the shops work for five minutes of their time, and write the page as a PNG."""
    shops = ShownShops()
    shops.run(300)
    width, height = LOOKS[look]
    scheme = "dark" if look == "dark" else "light"
    with (
        shops.server() as server,
        Chromium() as browser,
        Tab(browser, width=width, height=height, scheme=scheme) as tab,
    ):
        tab.open(f"http://127.0.0.1:{server.port}/")
        tab.wait_for("document.querySelectorAll('.node').length > 20")
        if look != "readme":
            size = tab.run("document.documentElement.scrollHeight")
            tab.resize(width, size, mobile=look == "phone")
        tab.picture(file, whole=look != "readme")
        for complaint in tab.complaints():
            sys.stderr.write(f"{complaint}\n")


if __name__ == "__main__":
    make_picture(Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else "readme")
