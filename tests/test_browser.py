"""The report in a real browser: no console message, no sideways scrolling, hostile names as text."""

from __future__ import annotations

import http.server
import json
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from bench.pipeline import run
from bench.prepare import Settings

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: apt-get install chromium"),
]

HOSTILE = "<script>alert(1)</script>"
# The report allows no script, so another page looks into it through a frame as wide as a phone.
PROBE = """<!doctype html><meta charset="utf-8">
<iframe src="report.html" width="375" height="800"></iframe><pre id="seen"></pre>
<script>
onload = () => {
  const page = document.querySelector("iframe").contentDocument;
  const root = page.documentElement;
  seen.textContent = JSON.stringify({
    inner: page.defaultView.innerWidth, wide: root.scrollWidth, scripts: page.scripts.length,
    title: page.title, heading: page.querySelector("h1").textContent,
    charts: page.querySelectorAll("figure svg").length,
    flat: [...page.querySelectorAll("svg, table, dl")].filter(
      e => !e.closest("details") && e.getBoundingClientRect().height < 20).length,
  });
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
        timeout=120,
        check=True,
    )
    return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]


def test_the_report_in_a_browser(
    fake_scenario: Path, tmp_path: Path, site: tuple[Path, str]
) -> None:
    text = fake_scenario.read_text()
    text = text.replace("name: fake\n", f'name: "{HOSTILE}"\ntitle: "{HOSTILE}"\n', 1)
    fake_scenario.write_text(text.replace("name: cloud\n", f'name: "{HOSTILE} $x^2$"\n'))
    done = run(fake_scenario, tmp_path / "out", Settings(engine="inline"))
    folder, address = site
    page = (done.path / "report.html").read_text()
    (folder / "report.html").write_text(page)
    (folder / "probe.html").write_text(PROBE)

    document, console = browse(f"{address}/probe.html", tmp_path / "browser")

    assert console == []
    found = re.search(r'<pre id="seen">(.*?)</pre>', document, re.DOTALL)
    assert found, "the page did not load"
    seen = json.loads(found[1].replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&"))
    assert seen["inner"] == 375
    assert seen["wide"] <= 375
    assert seen["scripts"] == 0
    assert seen["heading"] == HOSTILE
    assert seen["title"].startswith(HOSTILE)
    assert (seen["charts"], seen["flat"]) == (6, 0)
    assert not re.search(r"https?://|@import|url\((?!#)", page)
    assert len(page.encode()) < 1_000_000


def test_a_console_message_would_be_seen(tmp_path: Path, site: tuple[Path, str]) -> None:
    folder, address = site
    (folder / "bad.html").write_text("<script>nothing.there()</script>")
    _, console = browse(f"{address}/bad.html", tmp_path / "browser")
    assert len(console) == 1
    assert "not defined" in console[0]
