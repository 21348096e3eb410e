"""Every quantity that becomes nanoseconds has bounds, said with their reason."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import numpy as np
import pytest

from bench.at_once import simulate_only
from bench.documents import parse
from bench.errors import InputError
from bench.gather import load_profiles
from bench.hardware import Catalogue, age_warnings, sourced
from bench.pipeline import run
from bench.prepare import Settings, prepare
from bench.scenario import MeanTimes, Spread
from bench.simulate.durations import breakdowns, drawn
from bench.ticks import FOREVER, tick_array, ticks
from bench.units import LONGEST_S, parse_price
from tests.conftest import FAKE_SCENARIO

CLOUD = "name: fixed, replicas: 2"
LIMITS = {
    "limit": ("limit: 200 ms", "limit: 300 years", "1 ns to 10 years"),
    "a limit of no time": ("limit: 200 ms", "limit: 0.0001 us", "1 ns to 10 years"),
    "max_wait": ("max_wait: 5 ms", "max_wait: 400 years", "up to 10 years"),
    "start-up": ("start_up: {node: 60 s}", "start_up: {node: 5e300 min}", "up to 10 years"),
    "a period": (CLOUD, "name: hpa, min_replicas: 1, max_replicas: 2, period: 15 us", "1 s to 10"),
    "another": (CLOUD, "name: queue, max_replicas: 2, per_replica: 1, period: 1 ms", "1 s to 10"),
    "a third": (CLOUD, "name: scale-to-zero, max_replicas: 2, period: 1 ms", "1 s to 10 years"),
    "mttr": ("fleet: 4", "fleet: 4\n    failures: {mtbf: 1 h, mttr: 90 years}", "10 years"),
    "mtbf": ("fleet: 4", "fleet: 4\n    failures: {mtbf: 1 ms, mttr: 1 s}", "1 s to 10,000 years"),
    "jitter": ("poisson, rate: 6/min", "periodic, period: 1 s, jitter: 1000000000 s", "a day"),
    "rate": ("rate: 6/min", "rate: 1e300/s", "to 1e9/s"),
    "a rare rate": ("rate: 6/min", "rate: 1e-300/s", "once in 300 years"),
    "uplink": ("uplink: 4 Mbit/s", "uplink: 1e-300 bit/s", "1 bit/s to"),
    "retransmission": ("rtt: 40 ms", "rtt: 40 ms, retransmission: 1 year", "up to a day"),
    "phases": (
        "poisson, rate: 6/min",
        "mmpp, states: [{rate: 1/s, mean_length: 1 us}, {rate: 2/s, mean_length: 1 s}]",
        "0.1 s to 10 years",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", LIMITS)
def test_a_time_out_of_bounds_is_refused_with_them(tmp_path: Path, case: str) -> None:
    old, new, allowed = LIMITS[case]
    path = tmp_path / "s.yaml"
    assert old in FAKE_SCENARIO
    path.write_text(FAKE_SCENARIO.replace(old, new))
    with pytest.raises(InputError) as caught:
        prepare(path, Settings())
    said = str(caught.value)
    assert allowed in said
    assert f"{path}:" in said
    assert "since" in said


def test_ticks_end_at_for_ever() -> None:
    """Sums of a few still fit into 64 bits."""
    assert ticks(1.5) == 1_500_000_000
    assert ticks(float("inf")) == ticks(1e300) == FOREVER
    assert tick_array(np.array([2e-9, 1e20, np.inf])).tolist() == [2, FOREVER, FOREVER]
    assert 20 * ticks(LONGEST_S) < 2**63


def test_failures_of_millennia_and_draws_of_decades() -> None:
    rng = np.random.default_rng(1)
    found = breakdowns(MeanTimes(mtbf=3e11, mttr=3600), 5, ticks(86400), rng, "failures")
    assert found is not None
    assert len(found.windows.start) == 0
    slow = Spread(p50=0, p90=LONGEST_S / 2, p99=LONGEST_S)
    values = drawn(slow, 100_000, rng)
    assert 0 <= values.min() <= values.max() <= LONGEST_S


@pytest.mark.slow
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("fleet: 4", "fleet: 4\n    failures: {mtbf: 2000000 h, mttr: 1 h}"),
        ("rtt: 40 ms}", "rtt: 40 ms, outages: {mtbf: 2000000 h, mttr: 1 h}}"),
        ("limit: 200 ms", "limit: 10 years"),
        ("max_wait: 5 ms", "max_wait: 10 years"),
        ("uplink: 4 Mbit/s", "uplink: 1 bit/s"),
    ],
)
def test_at_the_bounds_both_methods_agree(
    tmp_path: Path, old: str, new: str, measured: Path
) -> None:
    path = tmp_path / "s.yaml"
    path.write_text(FAKE_SCENARIO.replace(old, new).replace('"10:00"', '"08:10"'))
    found = []
    for method in ("fast", "reference"):
        settings = Settings(engine="inline", method=method)
        _, simulation, costs, _ = simulate_only(path, load_profiles(measured), settings)
        found.append([one.replications for one in simulation.deployments])
        assert all((one.usd_per_million.value or 0) >= 0 for one in costs.deployments)
    assert found[0] == found[1]
    for day in (day for days in found[0] for day in days):
        assert (day.mean_s or 0) >= 0
        assert 0 <= day.utilisation <= 1
        assert day.requests == day.done + day.shed + day.timed_out + day.lost + day.in_flight


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("measured")
    (folder / "s.yaml").write_text(FAKE_SCENARIO.replace('"10:00"', '"08:05"'))
    return run(folder / "s.yaml", folder / "run", Settings(engine="inline")).path


SCALARS = {
    "a word for a truth": ("a: !!bool maybe", ":1:4: 'maybe' is not true or false"),
    "a sign": ("a: !!int +", ":1:4: '+' is not a whole number"),
    "nothing": ("a: !!float ''", ":1:4: '' is not a number"),
    "no null": ("a: !!null x", ":1:4: 'x' is not null"),
    "beyond": ("a: 1e999", ":1:4: '1e999' is not a finite number"),
    "digits": ("a: 99999999999999999999", "more than 18 digits"),
    "many digits": (f"a: {'9' * 5000}", "more than 18 digits"),
    "a key": ("!!bool maybe: 1", "is no word"),
    "a number for a key": ("5: 1", "the key 5 is no word"),
    "a bell": ("a: b\x07c", ":1:5: the character U+0007 cannot be seen"),
    "an escape": ("x: 1\na: b\x1b[31m", ":2:5: the character U+001B cannot be seen"),
    "an escaped escape": ('a: "\\e[31m"', ":1:4: the character U+001B cannot be seen"),
    "half a pair": ('a: "\\ud800"', ":1:4: the character U+D800 cannot be seen"),
    "right to left": ("a: x\u202ey", "U+202E"),
    "in a comment": ("a: 1 # \x00", ":1:8: the character U+0000"),
    "in a key": ('"a\\0": 1', ":1:1: the character U+0000"),
}  # fmt: skip


@pytest.mark.parametrize("case", SCALARS)
def test_what_is_no_value(case: str) -> None:
    text, said = SCALARS[case]
    with pytest.raises(InputError) as caught:
        parse(text, Path("f.yaml"))
    assert said in str(caught.value)
    assert str(caught.value).isprintable()


def test_a_byte_order_mark_and_other_line_ends_are_no_fault(tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + FAKE_SCENARIO.replace("\n", "\r\n").encode())
    assert prepare(path, Settings()).scenario.name == "fake"


@pytest.mark.parametrize("price", ["$1e999/h", "$1e99999999999999999999/h", "$2000000000/h"])
def test_a_price_of_anything(price: str) -> None:
    with pytest.raises(ValueError, match=r"more than|not a"):
        parse_price(price, "money per time")


def test_a_wrong_clock_is_told_from_a_wrong_date(monkeypatch: pytest.MonkeyPatch) -> None:
    class Then(date):
        @classmethod
        def today(cls) -> date:
            return date(2019, 1, 1)

    monkeypatch.setattr(sourced, "date", Then)
    offers = Catalogue().offers
    warnings = list(age_warnings(offers, Then.today()))
    assert any("has not come yet: the date or the clock is wrong" in text for text in warnings)
