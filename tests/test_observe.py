"""A live service that is observed: every request's row is kept, and Ctrl-C loses none that has come."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("aiohttp", reason="the extra serve is not installed")

from bench import observing
from bench.arrivals import trace
from bench.errors import InputError
from bench.observe import OBSERVED, Ask, Driver, ObservedRun, Waves
from bench.observe.observed_run import Asking
from bench.observe.schedule import schedule
from bench.prepare import Settings, prepare
from bench.recorded import recorded
from bench.scenario import Choice, Workload
from bench.store import Run
from tests.conftest import Bench

MODEL = "/v2/models/synthetic"
LONG_S = 60.0
TIMING = 'queue;dur=2.5, service;dur=4.0, batch;desc="3/1", replica;desc="0"'


class Service(ThreadingHTTPServer):
    """Says that it is ready, and answers ``status_of(n)`` to the n-th that asks."""

    daemon_threads = True
    status_of: Callable[[int], int] = staticmethod(lambda number: 200)

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked, self.lock = 0, threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Service

    def do_GET(self) -> None:
        self._say(200 if self.path == f"{MODEL}/ready" else 404)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        with self.server.lock:
            number, self.server.asked = self.server.asked, self.server.asked + 1
        self._say(self.server.status_of(number))

    def _say(self, status: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "2")
        self.send_header("Server-Timing", TIMING)
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def service() -> Iterator[Service]:
    with Service() as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.mark.slow
def test_every_request_has_its_row_and_can_be_replayed(
    bench: Bench, service: Service, fake_scenario: Path, tmp_path: Path
) -> None:
    service.status_of = lambda number: 503 if number % 4 == 3 else 200
    out = tmp_path / "seen"
    code, said, errors = bench(
        "observe", f"{service.url}{MODEL}/infer", "--scenario", fake_scenario, "--rate", "100/s",
        "--seconds", "1", "--out", out, "--json",
    )  # fmt: skip
    assert (code, errors) == (0, "")
    found = json.loads(said)
    rows = Run.open(out).table("observed.parquet")
    assert tuple(rows.columns) == OBSERVED.names
    assert Run.open(out).header.status == "complete"
    assert len(rows) == found["requests"] == sum(found["statuses"].values()) > 50
    assert set(found["statuses"]) == {"200", "503"}
    assert (rows["finished"] >= rows["sent"]).all()
    assert (rows["sent"] >= rows["arrival"]).all()
    assert set(rows["queue"]) == {2_500_000}
    assert set(rows["service"]) == {4_000_000}
    assert found["interrupted"] is False
    # All that came is what is replayed: the service was asked, whatever it answered.
    file = str(out / "observed.parquet")
    options = trace.Options(file=Path(file))
    assert len(trace.sizes(options)) == 0  # this task has none
    again = recorded(prepare(fake_scenario, Settings(recording={"file": file})))
    assert f"{len(rows)} requests" in again.description
    code, said, errors = bench("report", out)
    assert code == 2


@pytest.mark.slow
def test_ctrl_c_keeps_what_has_come(
    bench: Bench, service: Service, fake_scenario: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """The first wave is answered; the second, which follows it, meets a service that hangs."""
    hangs, hanging = threading.Event(), threading.Event()

    def status_of(number: int) -> int:
        if number < 8 + 5:  # those that open connections, and the first wave
            return 200
        hangs.set()
        hanging.wait()
        return 200

    def two_waves(*_: object) -> Waves:
        return Waves([5, 1], np.zeros(2, np.int64), np.zeros(6, np.int64))

    class Interrupted(Driver):
        """Ctrl-C comes while it waits for the second wave; a signal would end whoever runs the test."""

        def ask(self, what: Any) -> Any:
            if len(what.sample) != 6:  # those that open connections
                return super().ask(what)
            self._line.send(what)
            assert hangs.wait(LONG_S)
            raise KeyboardInterrupt

    service.status_of = status_of
    monkeypatch.setattr("bench.observe.target.schedule", two_waves)
    monkeypatch.setattr("bench.observe.target.Driver", Interrupted)
    out = tmp_path / "seen"
    code, said, errors = bench("observe", service.url, "--scenario", fake_scenario, "--out", out)
    hanging.set()
    assert code == 130
    assert f"what was answered by then is in {out}" in errors
    assert "5 requests" in said
    run = Run.open(out)
    assert run.header.status == "complete"
    assert run.load("observed-run.json", ObservedRun).interrupted
    assert run.table("observed.parquet")["status"].tolist() == [200] * 5


@pytest.mark.slow
def test_who_is_told_to_stop_twice_answers_twice(service: Service) -> None:
    with Driver(f"{service.url}{MODEL}/infer", [Ask({}, b"x")]) as driver:
        three = Waves([3], np.zeros(1, np.int64), np.zeros(3, np.int64))
        assert len(driver.stop()) == 0
        assert driver.ask(three)["status"].tolist() == [200] * 3
        assert len(driver.stop()) == 3
        assert len(driver.ask(three)) == 3


def test_a_server_that_is_not_there_is_said_before_anything_is_made(
    bench: Bench, service: Service, fake_scenario: Path, tmp_path: Path
) -> None:
    def errors(url: str, *options: str) -> str:
        out = tmp_path / "seen"
        code, said, text = bench(
            "observe", url, "--scenario", fake_scenario, "--out", out, *options
        )
        assert (code, said, out.exists()) == (2, "", False)
        return text

    assert "'other' is not there, or not ready (HTTP 404)" in errors(
        service.url, "--model", "other"
    )
    service.server_close()
    assert "does not answer" in errors("http://127.0.0.1:9")
    assert "is no address of a server" in errors("127.0.0.1:8000")
    text = errors("http://me:hush@127.0.0.1:9")
    assert "holds a user name or a password" in text
    assert "hush" not in text
    assert "--rate: '5' is not a rate with its unit" in errors("http://127.0.0.1:9", "--rate", "5")
    assert "out of bounds" in errors("http://127.0.0.1:9", "--rate", "0/s")


@pytest.mark.parametrize(
    ("url", "model"),
    [("http://h:8000", "synthetic"), ("http://h:8000/", "synthetic"),
     ("https://h/deep/v2/models/m", "m"), ("http://h:8000/v2/models/m/infer", "m")],
)  # fmt: skip
def test_an_address_may_be_of_the_model(fake_scenario: Path, url: str, model: str) -> None:
    asked = observing.asking_of(url, fake_scenario, None, 1.0, None)
    assert asked.model == model
    assert asked.infer.endswith(f"/v2/models/{model}/infer")
    assert "//v2" not in asked.infer
    assert observing.asking_of(url, fake_scenario, None, 1.0, "n").model == "n"


def workload(**arrivals: Any) -> Workload:
    return Workload(sources=3, arrivals=Choice.model_validate(arrivals))


def test_a_rate_changes_how_fast_and_not_how_unevenly() -> None:
    rng = np.random.default_rng
    own = schedule(workload(name="gamma", rate=2.0, cv=3.0), None, 600.0, 4, rng(1))
    fast = schedule(workload(name="gamma", rate=2.0, cv=3.0), 60.0, 60.0, 4, rng(1))
    assert len(own.due) == len(fast.due)
    assert fast.due == pytest.approx(own.due / 10, abs=1)
    assert own.due.max() < 600e9
    assert set(own.sample.tolist()) == {0, 1, 2, 3}


@pytest.mark.parametrize(
    ("arrivals", "rate", "said"),
    [
        ({"name": "closed-loop", "think": 2.0}, None, "closed loop cannot be driven"),
        ({"name": "poisson", "rate": 1e-6}, None, "bring no request"),
        ({"name": "poisson", "rate": 1.0}, 1e6, "60,000,000 requests. Allowed: up to 1,000,000"),
    ],
)
def test_what_cannot_be_asked_is_said(
    arrivals: dict[str, Any], rate: float | None, said: str
) -> None:
    with pytest.raises(InputError, match=said):
        schedule(workload(**arrivals), rate, 60.0, 1, np.random.default_rng(0))


def test_a_summary_counts_from_when_requests_were_due() -> None:
    rows = np.zeros(1000, OBSERVED)
    rows["arrival"] = 1_000_000_000 + np.arange(1000) * 10_000_000
    rows["sent"] = rows["arrival"] + np.where(np.arange(1000) < 50, 2_000_000, 0)
    rows["finished"] = rows["arrival"] + 20_000_000
    rows["status"] = np.where(np.arange(1000) % 10 == 0, 0, 200)
    asked = Asking(url="http://h", model="m", length_s=10.0)
    found = ObservedRun.of(asked, rows, False, "now", {})
    assert found.response_s["p99"].value == pytest.approx(0.02)
    assert found.offered == pytest.approx(100.0)
    assert found.throughput == pytest.approx(900 / 10.01)
    assert (found.statuses, found.late_share) == ({"0": 100, "200": 900}, 0.05)
    assert "answered 100 not at all, 900 with HTTP 200" in found.in_words
    assert "sent over 1 ms late: 5.0 %; this client is busy" in found.in_words
