"""The pages in a real browser: no console message, no sideways scrolling, hostile names as text, and
nothing that scrolls within itself out of a keyboard's reach."""

from __future__ import annotations

import html
import http.server
import json
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from bench.gather import load_profiles
from bench.pipeline import plan, run
from bench.prepare import Settings
from tests.busy import HANG_S

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: apt-get install chromium"),
]

HOSTILE = "<script>alert(1)</script>"
PLAN = """
plan:
  offers: ["civo/standard-*", "aws/p5*", "edge/mini-pc"]
  batching: [none]
  scaling: [{name: fixed, replicas: 1}, {name: hpa, min_replicas: 1, max_replicas: 4}]
  nodes: [1]
"""
FRAMES = {"report": ("report.html", 375), "plan": ("plan.html", 375), "desk": ("report.html", 1280)}
# The pages allow no script, so another page looks into them through frames as wide as a phone.
PROBE = """<!doctype html><meta charset="utf-8">
%s<pre id="seen"></pre>
<script>
const scrolls = e => {
  const style = e.ownerDocument.defaultView.getComputedStyle(e);
  return /auto|scroll/.test(style.overflowX) && e.scrollWidth > e.clientWidth
    || /auto|scroll/.test(style.overflowY) && e.scrollHeight > e.clientHeight;
};
const look = page => {
  for (const e of page.querySelectorAll("details")) e.open = true;
  const root = page.documentElement;
  const scrolling = [...page.body.querySelectorAll("*")].filter(scrolls);
  return {
    inner: page.defaultView.innerWidth, wide: root.scrollWidth, scripts: page.scripts.length,
    title: page.title, heading: page.querySelector("h1")?.textContent,
    charts: page.querySelectorAll("figure svg").length,
    flat: [...page.querySelectorAll("svg, table, dl")].filter(
      e => e.getBoundingClientRect().height < 20).length,
    names: scrolling.map(e => e.getAttribute("aria-label")),
    unreached: scrolling.filter(
      e => !(e.tabIndex >= 0 && e.getAttribute("role") && e.getAttribute("aria-label")?.trim())
    ).map(e => e.outerHTML.slice(0, 80)),
  };
};
onload = () => {
  seen.textContent = JSON.stringify(Object.fromEntries(
    [...document.querySelectorAll("iframe")].map(f => [f.name, look(f.contentDocument)])));
};
</script>"""


class _Silent(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def site(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    folder = tmp_path / "site"
    folder.mkdir()
    handler = partial(_Silent, directory=str(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield folder, f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def browse(url: str, profile: Path) -> tuple[str, list[str]]:
    """The document as the browser holds it, and what its console said."""
    assert CHROMIUM is not None
    switches = (
        "headless no-sandbox disable-gpu disable-quic no-first-run disable-background-networking "
        "disable-component-update disable-sync dump-dom virtual-time-budget=10000 "
        f"enable-logging=stderr user-data-dir={profile}"
    ).split()
    done = subprocess.run(
        [CHROMIUM, *(f"--{switch}" for switch in switches), url],
        capture_output=True,
        text=True,
        timeout=HANG_S,
        check=True,
    )
    return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]


def look(
    site: tuple[Path, str], profile: Path, frames: Mapping[str, tuple[str, int]]
) -> dict[str, Any]:
    """What the probe sees of each frame: page and width."""
    folder, address = site
    tags = (
        f'<iframe name="{name}" src="{page}" width="{width}" height="800"></iframe>'
        for name, (page, width) in frames.items()
    )
    (folder / "probe.html").write_text(PROBE % "".join(tags))
    document, console = browse(f"{address}/probe.html", profile)
    assert console == []
    found = re.search(r'<pre id="seen">(.+?)</pre>', document, re.DOTALL)
    assert found, "the page did not load"
    seen: dict[str, Any] = json.loads(html.unescape(found[1]))
    return seen


def test_the_pages_in_a_browser(
    fake_scenario: Path, tmp_path: Path, site: tuple[Path, str]
) -> None:
    text = fake_scenario.read_text()
    text = text.replace("name: fake\n", f'name: "{HOSTILE}"\ntitle: "{HOSTILE}"\n', 1)
    fake_scenario.write_text(text.replace("name: cloud\n", f'name: "{HOSTILE} $x^2$"\n') + PLAN)
    settings = Settings(engine="inline")
    done = run(fake_scenario, tmp_path / "out", settings)
    planned, _ = plan(fake_scenario, load_profiles(done.path), tmp_path / "plan", settings)
    for page in (done.path / "report.html", planned.path / "plan.html"):
        shutil.copy(page, site[0])
        assert not re.search(r"https?://|@import|url\((?!#)", page.read_text())
        assert page.stat().st_size < 1_000_000

    seen = look(site, tmp_path / "browser", FRAMES)

    for name, (_, width) in FRAMES.items():
        assert seen[name]["inner"] == width
        assert seen[name]["wide"] <= width
        assert seen[name]["scripts"] == 0
        assert seen[name]["heading"] == HOSTILE
        assert seen[name]["title"].startswith(HOSTILE)
        assert seen[name]["flat"] == 0
        assert seen[name]["unreached"] == []
        assert len(set(seen[name]["names"])) == len(seen[name]["names"])
    assert seen["report"]["charts"] == 6
    assert seen["plan"]["charts"] == 1
    assert len(seen["report"]["names"]) >= 15  # on a phone, tables and figures do scroll
    assert len(seen["plan"]["names"]) >= 4


def test_what_a_keyboard_cannot_reach_would_be_seen(tmp_path: Path, site: tuple[Path, str]) -> None:
    wide = '<p style="width:900px">wide</p></div>'
    (site[0] / "bad.html").write_text(
        f'<!doctype html><div style="overflow-x:auto">{wide}'
        f'<div style="overflow-x:auto" tabindex="0" role="region" aria-label="ours">{wide}'
    )
    seen = look(site, tmp_path / "browser", {"bad": ("bad.html", 375)})["bad"]
    assert len(seen["unreached"]) == 1
    assert seen["names"] == [None, "ours"]


def test_a_console_message_would_be_seen(tmp_path: Path, site: tuple[Path, str]) -> None:
    folder, address = site
    (folder / "bad.html").write_text("<script>nothing.there()</script>")
    _, console = browse(f"{address}/bad.html", tmp_path / "browser")
    assert len(console) == 1
    assert "not defined" in console[0]
