"""The page in a real Chromium: what it shows, and how people can use it."""

from __future__ import annotations

import re

import pytest

from consumer.telemetry.server import StatusServer
from tests.browser.conftest import HOSTILE, OpenTab
from tests.support.chromium import Chromium, Tab
from tests.support.shown_shops import ShownShops

NODES = "document.querySelectorAll('.node').length"
ROWS = "document.querySelectorAll('#operations-rows tr').length"
FOCUSED = "document.activeElement"


def shown(tab: Tab, count: int = 20) -> Tab:
    """The tab as soon as the map is there."""
    tab.wait_for(f"{NODES} >= {count}")
    return tab


def text(tab: Tab, selector: str) -> str:
    return str(tab.run(f"document.querySelector({selector!r}).textContent"))


def test_the_map_shows_every_node_and_edge(open_tab: OpenTab) -> None:
    tab = shown(open_tab())
    api = "fetch('api/v1/traffic?tenant=acme').then(answer => answer.json())"
    assert tab.run(NODES) == tab.run(f"{api}.then(seen => seen.nodes.length)")
    edges = "document.querySelectorAll('.map .link').length"
    assert tab.run(edges) == tab.run(f"{api}.then(seen => seen.edges.length)")
    assert tab.run("document.querySelectorAll('.node .rim').length") >= 4
    assert tab.run("document.querySelectorAll('.node .body.virtual').length") >= 3
    assert tab.run("document.querySelectorAll('.map .glyph').length") == 3


def test_nodes_stand_by_the_depth_of_calls_and_do_not_overlap(open_tab: OpenTab) -> None:
    tab = shown(open_tab())
    boxes = tab.run(
        "[...document.querySelectorAll('.node')].map(node => {"
        " const box = node.querySelector('.body').getBoundingClientRect();"
        " return [node.dataset.name, box.left, box.top, box.right, box.bottom] })"
    )
    left = {name: box[0] for name, *box in boxes}
    assert left["user"] < left["frontend"] < left["catalog"] < left["catalog-db.acme.internal"]
    for index, (name, l1, t1, r1, b1) in enumerate(boxes):
        for other, l2, t2, r2, b2 in boxes[index + 1 :]:
            assert r1 < l2 or r2 < l1 or b1 < t2 or b2 < t1, (name, other)


def test_busier_nodes_are_larger_and_failing_ones_coloured(open_tab: OpenTab) -> None:
    tab = shown(open_tab())
    radius = "+document.querySelector('.node[data-name={}] .body').getAttribute('r')"
    assert tab.run(radius.format("frontend")) > tab.run(radius.format("invoice"))
    classes = tab.run(
        "[...document.querySelectorAll('.node')].map(node => node.getAttribute('class'))"
    )
    assert "node calm" in classes
    assert {"node warn", "node bad"} & set(classes)


def test_operations_have_figures_and_a_trend(open_tab: OpenTab) -> None:
    tab = shown(open_tab())
    assert tab.run(ROWS) == 15
    first = text(tab, "#operations-rows tr")
    assert re.search(r"\d/s.*%.*(µs|ms| s).*(µs|ms| s)", first), first
    assert tab.run("document.querySelector('#operations-rows .sparkline .line') !== null")
    tab.run("document.getElementById('operations-more').click()")
    assert tab.run(ROWS) > 15


def test_operations_are_sorted_and_found(open_tab: OpenTab) -> None:
    tab = shown(open_tab())
    by_p95 = "document.querySelector('th[data-key=p95_seconds]')"
    tab.run(f"{by_p95}.querySelector('button').click()")
    assert tab.run(f"{by_p95}.getAttribute('aria-sort')") == "descending"
    assert "POST /checkout" in text(tab, "#operations-rows tr")
    tab.run(f"{by_p95}.querySelector('button').click()")
    assert tab.run(f"{by_p95}.getAttribute('aria-sort')") == "ascending"
    tab.run(
        "{const box = document.getElementById('filter'); box.value = 'pricing';"
        " box.dispatchEvent(new Event('input'))}"
    )
    assert tab.run(ROWS) == 1
    assert "Pricing/Quote" in text(tab, "#operations-rows tr")


def test_another_tenant_is_shown_when_chosen(open_tab: OpenTab) -> None:
    tab = shown(open_tab())
    tab.run(
        "{const box = document.getElementById('tenant'); box.value = 'globex';"
        " box.dispatchEvent(new Event('change'))}"
    )
    tab.wait_for("document.querySelector('.node[data-name=storefront]') !== null")
    assert tab.run("location.hash") == "#tenant=globex"
    assert tab.run("document.querySelector('.node[data-name=frontend]') === null")
    assert "storefront" in text(tab, "#operations-rows")


def test_a_tenant_has_an_address_of_its_own(open_tab: OpenTab) -> None:
    tab = shown(open_tab(path="/#tenant=globex"), 4)
    assert tab.run("document.getElementById('tenant').value") == "globex"
    assert tab.run("document.title") == "globex · spanmill"


def test_everything_can_be_reached_by_tab_with_a_visible_focus(open_tab: OpenTab) -> None:
    tab = shown(open_tab())
    reached = []
    for _ in range(16):
        tab.press("Tab")
        reached.append(
            tab.run(f"{FOCUSED}.id || {FOCUSED}.className?.baseVal || {FOCUSED}.textContent")
        )
        visible = (
            f"{{const style = getComputedStyle({FOCUSED});"
            f" const halo = {FOCUSED}.querySelector?.('.halo');"
            " style.outlineStyle !== 'none' || (halo && getComputedStyle(halo).stroke !== 'none'"
            " && !/, 0\\)/.test(getComputedStyle(halo).stroke))}"
        )
        assert tab.run(visible), reached[-1]
    assert reached[0] == "Skip to the operations"
    assert reached[1] == "tenant"
    order = [name for name in reached if name in ("filter", "kinds", "operations-more")]
    assert order[:2] == ["filter", "kinds"]
    assert any(str(name).startswith("node") for name in reached)


def test_the_map_is_walked_by_arrow_keys(open_tab: OpenTab) -> None:
    tab = shown(open_tab())
    here = f"{FOCUSED}.dataset.name"
    tab.run("document.querySelector('.node[tabindex=\"0\"]').focus()")
    assert tab.run(here) == "user"
    tab.press("ArrowRight")
    assert tab.run(here) == "frontend"
    assert tab.run("document.querySelectorAll('.node[tabindex=\"0\"]').length") == 1
    tab.press("Enter")
    assert tab.run(f"{FOCUSED}.getAttribute('aria-pressed')") == "true"
    assert text(tab, "#chosen").startswith("frontend · called by user · calls ")
    services = "[...document.querySelectorAll('#operations-rows .service')].map(s => s.textContent)"
    assert set(tab.run(services)) == {"frontend"}
    tab.press("ArrowRight", "Escape")
    assert text(tab, "#chosen") == ""
    assert len(set(tab.run(services))) > 1
    assert tab.run(here) not in (None, "frontend")


def test_a_node_that_is_clicked_fades_what_it_has_nothing_to_do_with(open_tab: OpenTab) -> None:
    tab = shown(open_tab())
    tab.run(
        "document.querySelector('.node[data-name=pricing]')"
        ".dispatchEvent(new MouseEvent('click', {bubbles: true}))"
    )
    clear = (
        "[...document.querySelectorAll('.node:not(.faded)')].map(node => node.dataset.name).sort()"
    )
    assert tab.run(clear) == ["catalog", "checkout", "pricing", "promotion"]


def test_assistive_technology_finds_nodes_tables_and_their_names(open_tab: OpenTab) -> None:
    tab = shown(open_tab())
    buttons = tab.accessible("button")
    assert any(name.startswith("frontend, service: ") for name in buttons)
    assert any(name.startswith("redis.acme.internal, database: ") for name in buttons)
    assert "" not in [*buttons, *tab.accessible("combobox"), *tab.accessible("searchbox")]
    assert "Operations with rate, errors and durations" in tab.accessible("table")
    assert tab.accessible("heading")[0] == "spanmill"
    tab.run("document.getElementById('calls').open = true")
    assert tab.run("document.querySelectorAll('#calls-rows tr').length") == tab.run(
        "document.querySelectorAll('.map .link').length"
    )
    assert "Calls between nodes, the busiest first" in tab.accessible("table")


CONTRAST = """
(() => {
  const light = ([r, g, b]) => [r, g, b].map(v => v / 255)
    .map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const parts = color => color.match(/[\\d.]+/g).map(Number);
  const behind = element => {
    for (let e = element; e; e = e.parentElement) {
      const color = parts(getComputedStyle(e).backgroundColor);
      if (color.length === 3 || color[3] > 0.99) return color;
    }
    return [255, 255, 255];
  };
  const texts = [...document.querySelectorAll('h1,h2,h3,p,dt,dd,th,td,label,a,li,summary')]
    .filter(e => e.getClientRects().length && e.textContent.trim());
  return texts.map(e => {
    const [a, b] = [light(parts(getComputedStyle(e).color)), light(behind(e))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    return [ratio, e.tagName, e.textContent.slice(0, 40)];
  }).filter(([ratio]) => ratio < 4.5);
})()
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_can_be_read_in_light_and_dark(open_tab: OpenTab, scheme: str) -> None:
    tab = shown(open_tab(scheme=scheme))
    assert tab.run(CONTRAST) == []
    background = tab.run("getComputedStyle(document.body).backgroundColor")
    lightness = sum(map(int, re.findall(r"\d+", background)[:3])) / 3
    assert (lightness > 128) == (scheme == "light")


def test_nothing_moves_for_those_who_prefer_so(open_tab: OpenTab) -> None:
    tab = shown(open_tab())
    moves = "getComputedStyle(document.querySelector('.node')).transitionDuration"
    assert tab.run(moves) == "0s"
    tab.prefer("light", motion="no-preference")
    assert tab.run(moves) != "0s"


@pytest.mark.parametrize("width", [320, 390, 768])
@pytest.mark.parametrize("tenant", ["acme", "evil"])
def test_no_width_needs_to_be_scrolled_sideways(open_tab: OpenTab, width: int, tenant: str) -> None:
    tab = shown(open_tab(width=width, height=800, path=f"/#tenant={tenant}"), 1)
    assert tab.run("document.documentElement.scrollWidth") <= width
    outside = (
        "[...document.querySelectorAll('main > *, header > *, .card > *')]"
        f".filter(e => e.getBoundingClientRect().right > {width} + 0.5).map(e => e.id || e.tagName)"
    )
    assert tab.run(outside) == []


def test_nothing_is_asked_of_anybody_else(open_tab: OpenTab, server: StatusServer) -> None:
    tab = shown(open_tab())
    tab.run("document.getElementById('configuration').open = true")
    tab.wait_for("document.getElementById('configuration-text').textContent.includes('otlp_spans')")
    own = (f"http://127.0.0.1:{server.port}/", "data:")
    requests = tab.requests()
    assert len(requests) >= 8
    assert [url for url in requests if not url.startswith(own)] == []


def test_the_configuration_is_shown_without_secrets(open_tab: OpenTab) -> None:
    tab = shown(open_tab())
    tab.run("document.getElementById('configuration').open = true")
    tab.wait_for("document.getElementById('configuration-text').textContent.includes('kafka:')")
    assert "hunter2" not in text(tab, "body")


def test_hostile_names_are_texts_and_nothing_else(open_tab: OpenTab) -> None:
    tab = shown(open_tab(path="/#tenant=evil"), len(HOSTILE))
    tab.run("document.querySelectorAll('details').forEach(each => { each.open = true })")
    for node in range(len(HOSTILE) + 1):
        tab.run(
            f"document.querySelectorAll('.node')[{node}]"
            ".dispatchEvent(new MouseEvent('click', {bubbles: true}))"
        )
    tab.run("document.querySelector('#chosen button')?.click()")
    assert tab.run("document.querySelectorAll('img, script:not([src])').length") == 0
    assert tab.run("document.title") == "evil · spanmill"
    body = text(tab, "#operations-rows")
    assert all(name.split("\0")[0] in body for name in HOSTILE)


def test_sinks_and_partitions_are_shown(open_tab: OpenTab) -> None:
    tab = shown(open_tab())
    assert "prometheus:9090working" in text(tab, "#sinks")
    assert text(tab, "#partitions tr:nth-child(2)").startswith("112400 ms")
    assert text(tab, "#phase") == "running"


def test_a_pause_is_told_with_its_reason(open_tab: OpenTab, shops: ShownShops) -> None:
    tab = shown(open_tab())
    shops.status.paused = ("sink",)
    shops.sinks.blocked = "prometheus:9090"
    shops.sinks.trouble_seen("prometheus:9090", "acme", "server", "HTTP 503: <b>no</b>")
    try:
        tab.wait_for("document.getElementById('phase').textContent === 'paused'")
        assert text(tab, "#notices") == "prometheus:9090 is blocking: server. HTTP 503: <b>no</b>"
        assert "Last trouble, now for acme: server." in text(tab, "#sinks")
    finally:
        shops.status.paused, shops.sinks.blocked = (), None


def test_a_worker_that_is_silent_is_told_and_what_was_known_stays(chromium: Chromium) -> None:
    shops = ShownShops()
    shops.run(20)
    with Tab(chromium) as tab:
        with shops.server() as server:
            tab.open(f"http://127.0.0.1:{server.port}/")
            shown(tab, 5)
        tab.wait_for("document.getElementById('main').classList.contains('stale')", 30)
        assert text(tab, "#age").startswith("no answer for ")
        assert tab.run(NODES) >= 5


def test_a_tick_changes_figures_and_leaves_the_focus(open_tab: OpenTab, shops: ShownShops) -> None:
    tab = shown(open_tab())
    tab.run("document.querySelector('.node[data-name=catalog]').focus()")
    tab.run("document.querySelector('.node[data-name=catalog]').mark = 1")
    trend = "document.querySelector('#total-trend .line').getAttribute('d')"
    before = tab.run(trend)
    shops.run(10)
    tab.wait_for(f"{trend} !== {before!r}")
    assert tab.run(f"{FOCUSED}.dataset.name") == "catalog"
    assert tab.run(f"{FOCUSED}.mark") == 1
