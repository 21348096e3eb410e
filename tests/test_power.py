"""Energy from readings, by hand-calculated traces; every sensor on a machine made of files.

``l4_card.csv`` and ``l4_plug.csv`` are constructed, not recorded: an inference server with one L4
is at rest until 6 s and under load from 7 s on. The card draws 16 W and then 70 W, the box 260 W
and then 330 W; the plug's clock begins at 10:00:00 in Berlin.
"""

from __future__ import annotations

import csv
import itertools
import math
import re
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pynvml
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench import extensions
from bench.measure import metering, power
from bench.measure.metering import Meter, Meters, PowerReading, Sampler
from bench.measure.power import (
    Forbidden,
    Reading,
    Scope,
    Source,
    _trace,
    ina3221,
    nvml,
    rapl,
    wall_meter,
)
from bench.measure.power._trace import Power, evaluate
from bench.record import Estimate

DATA = Path(__file__).parent / "data" / "power"
SECOND = 1_000_000_000


def seconds(value: float) -> int:
    return round(value * SECOND)


class Tape:
    """A sensor with a record of its own: whatever a test wrote on it."""

    scope: Scope = "board"
    title = "tape"

    def __init__(self, readings: Iterable[Reading], source: Source = "counter") -> None:
        self._readings = list(readings)
        self.source = source

    def readings(self) -> Sequence[Reading]:
        return self._readings


def width(estimate: Estimate) -> float:
    """Of the interval."""
    assert estimate.low is not None
    assert estimate.high is not None
    return estimate.high - estimate.low


def steady(
    watts: float,
    length_s: float,
    *,
    every_s: float = 0.1,
    counter: Callable[[float], float] | None = None,
    power_read: bool = True,
    codes: Iterable[str] = (),
) -> list[Reading]:
    """Readings of constant power, with a right counter unless another is given."""
    counter = counter or (lambda at_s: watts * at_s)
    return [
        Reading(seconds(at_s), counter(at_s), watts if power_read else None, frozenset(codes))
        for at_s in np.arange(0, length_s + every_s / 2, every_s).tolist()
    ]


# -- arithmetic


POINTS = st.lists(
    st.tuples(st.integers(0, 1000), st.integers(0, 500)),
    min_size=2,
    max_size=12,
    unique_by=lambda point: point[0],
).map(sorted)


@given(POINTS, st.fractions(0, 1, max_denominator=97), st.fractions(0, 1, max_denominator=97))
def test_the_trapezoid_is_the_area_whatever_the_window(
    points: list[tuple[int, int]], one: Fraction, other: Fraction
) -> None:
    first, last = points[0][0], points[-1][0]
    start, end = (first + share * (last - first) for share in sorted((one, other)))
    exact = Fraction(0)
    for (t0, w0), (t1, w1) in itertools.pairwise(points):
        a, b = max(Fraction(t0), start), min(Fraction(t1), end)
        if a < b:  # the mean of a straight line is its value in the middle
            middle = w0 + (w1 - w0) * ((a + b) / 2 - t0) / (t1 - t0)
            exact += middle * (b - a)
    at_s, watts = np.array(points, dtype=float).T
    area = Power(at_s, watts).joules(float(start), float(end))
    assert area == pytest.approx(float(exact), rel=1e-9, abs=1e-6)


def test_a_ramp_has_the_area_of_its_triangle_less_the_corners() -> None:
    # 0 W to 10 W in 10 s, between 2 s and 8 s: (2 W + 8 W) / 2 × 6 s.
    curve = Power(np.array([0.0, 10.0]), np.array([0.0, 10.0]))
    assert curve.joules(2.0, 8.0) == pytest.approx(30.0)


@pytest.mark.parametrize(
    ("at_s", "gap_s"),
    [
        ([-1, 1, 3, 4, 7], 3.0),  # the last point lies beyond the end and its gap counts in full
        ([-4, 1, 2, 4, 6], 5.0),  # so does that at the start
        ([2, 4, 6], 2.0),  # nothing before: the start itself bounds the gap
        ([-1, 1, 2], 4.0),  # nothing after
        ([-9, -8], 14.0),
        ([8, 9], 8.0),
    ],
)
def test_the_largest_gap(at_s: list[float], gap_s: float) -> None:
    curve = Power(np.array(at_s, dtype=float), np.zeros(len(at_s)))
    assert curve.largest_gap_s(6.0) == pytest.approx(gap_s)


# -- the rules of a window


def test_counter_and_trapezoid_agree_on_the_constructed_card() -> None:
    # 8 s to 14 s: 6 s of 70 W.
    window = evaluate(card(), seconds(8), seconds(14), "counter")
    assert window.counter_j == pytest.approx(420)
    assert window.trapezoid_j == pytest.approx(420)
    assert window.mean_w.value == pytest.approx(70)
    assert (window.source, window.codes) == ("counter", frozenset())
    # 5 s to 11 s holds the step: 1 s of 16 W, 0.1 s of the ramp, 4.9 s of 70 W.
    step = evaluate(card(), seconds(5), seconds(11), "counter")
    assert step.trapezoid_j == pytest.approx(16 + 4.3 + 343)
    assert step.counter_j == pytest.approx(16 + 4.3 + 343)


def test_boundaries_between_readings_are_interpolated() -> None:
    # 5.65 s to 10.95 s: 0.35 s of 16 W, the ramp, 4.85 s of 70 W.
    window = evaluate(card(), seconds(5.65), seconds(10.95), "counter")
    assert window.counter_j == pytest.approx(5.6 + 4.3 + 339.5)
    assert window.trapezoid_j == pytest.approx(5.6 + 4.3 + 339.5)


@pytest.mark.parametrize(("length_s", "refused"), [(4.99, True), (5.0, False)])
def test_a_window_is_5_s_or_more(length_s: float, refused: bool) -> None:
    window = evaluate(steady(50, 6), 0, seconds(length_s), "counter")
    assert (window.mean_w.value is None) == refused
    assert ("window-shorter-than-5-s" in window.codes) == refused
    assert not refused or "4.99 s" in str(window.mean_w.reason)


@pytest.mark.parametrize(("gap_s", "refused"), [(3.0, False), (3.1, True)])
def test_at_most_3_s_are_bridged(gap_s: float, refused: bool) -> None:
    readings = [r for r in steady(50, 10) if not 4e9 < r.at_ns < seconds(4 + gap_s)]
    window = evaluate(readings, 0, seconds(10), "counter")
    assert window.largest_gap_s == pytest.approx(gap_s)
    assert (window.mean_w.value is None) == refused
    assert ("gap-over-3-s" in window.codes) == refused


def test_what_the_readings_leave_uncovered_is_a_gap_and_not_zero() -> None:
    readings = [r for r in steady(50, 10) if seconds(2) <= r.at_ns <= seconds(8)]
    window = evaluate(readings, 0, seconds(10), "counter")
    assert window.largest_gap_s == pytest.approx(2.0)
    assert window.counter_j == pytest.approx(500)


def test_no_reading_is_no_value() -> None:
    for readings in ([], [Reading(0, codes=frozenset({"read-failed"}))], steady(5, 6)[:1]):
        window = evaluate(readings, 0, seconds(6), "counter")
        assert window.mean_w.value is None
        assert "fewer than two" in str(window.mean_w.reason)
        assert window.source == "none"


@pytest.mark.parametrize(("factor", "differs"), [(1.04, False), (1.06, True), (0.94, True)])
def test_counter_and_trapezoid_differ_by_more_than_5_percent(factor: float, differs: bool) -> None:
    readings = steady(50, 10, counter=lambda at_s: 50 * at_s * factor)
    window = evaluate(readings, 0, seconds(10), "counter")
    assert ("counter-and-trapezoid-differ" in window.codes) == differs
    assert window.mean_w.value == pytest.approx(50 * factor)  # a warning; the counter is given


def test_a_counter_that_moves_every_100_ms_is_not_stale() -> None:
    readings = steady(50, 10, every_s=0.02, counter=lambda at_s: 5 * int(at_s * 10 + 1e-9))
    window = evaluate(readings, 0, seconds(10), "counter")
    assert "counter-stale" not in window.codes
    assert window.source == "counter"


@pytest.mark.parametrize(
    ("code", "counter"),
    [
        ("counter-stale", lambda at_s: 50 * min(at_s, 4.0)),
        ("counter-went-back", lambda at_s: 50 * at_s if at_s < 4 else 50 * (at_s - 4)),
    ],
)
def test_a_counter_at_fault_gives_way_to_the_trapezoid(
    code: str, counter: Callable[[float], float]
) -> None:
    window = evaluate(steady(50, 10, counter=counter), 0, seconds(10), "counter")
    assert code in window.codes
    assert window.source == "sampled"
    assert window.mean_w.value == pytest.approx(50)
    assert window.counter_j is None
    alone = evaluate(steady(50, 10, counter=counter, power_read=False), 0, seconds(10), "counter")
    assert alone.mean_w.value is None
    assert code in alone.codes
    assert "no power beside it" in str(alone.mean_w.reason)


def test_a_trapezoid_with_a_hole_is_not_held_against_the_counter() -> None:
    readings = [
        Reading(r.at_ns, r.energy_j, r.power_w if r.at_ns < seconds(2) else None)
        for r in steady(50, 10, counter=lambda at_s: 70 * at_s)
    ]
    window = evaluate(readings, seconds(4), seconds(10), "counter")
    assert (window.trapezoid_j, window.codes) == (None, frozenset())
    assert window.counter_j == pytest.approx(420)


def test_codes_of_readings_outside_the_window_do_not_count() -> None:
    late = [Reading(r.at_ns + seconds(7), codes=frozenset({"throttled-thermal"})) for r in card()]
    readings = steady(50, 6, codes=["averaged-over-1-s"]) + late
    window = evaluate(readings, 0, seconds(6), "sampled")
    assert window.codes == {"averaged-over-1-s"}


def test_few_blocks_give_a_wide_interval_and_one_gives_none() -> None:
    rng = np.random.default_rng(5)

    def noisy(length_s: float, every_s: float) -> list[Reading]:
        times = np.arange(0, length_s + every_s / 2, every_s)
        return [Reading(seconds(t), power_w=rng.normal(100, 10)) for t in times.tolist()]

    many = evaluate(noisy(60, 0.1), 0, seconds(60), "sampled").mean_w
    few = evaluate(noisy(6, 1.0), 0, seconds(6), "sampled").mean_w
    one = evaluate(noisy(5, 2.5), 0, seconds(5), "sampled").mean_w
    assert (many.n, few.n, one.n) == (20, 3, 1)
    assert one.value is not None
    assert one.low is None
    assert "no interval" in str(one.reason)
    assert width(few) > 3 * width(many)


def test_the_interval_holds_the_true_mean_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(6)
    held = 0
    for _ in range(300):
        watts = rng.normal(100, 10, 301)
        readings = [Reading(seconds(n / 10), power_w=w) for n, w in enumerate(watts.tolist())]
        mean = evaluate(readings, 0, seconds(30), "sampled").mean_w
        assert mean.low is not None
        held += mean.low <= 100 <= mean.low + width(mean)
    assert 0.90 <= held / 300 <= 0.99  # of 95 %


# -- a meter


def card() -> list[Reading]:
    with (DATA / "l4_card.csv").open() as file:
        return [
            Reading(seconds(float(r["at_s"])), float(r["energy_j"]), float(r["power_w"]))
            for r in csv.DictReader(file)
        ]


def metered(tape: Tape | wall_meter.WallMeter, origin_ns: int = 0) -> PowerReading:
    """Rest from 0.5 s to 5.5 s; 600 inferences one after the other from 8 s to 14 s."""
    meter = Meter(tape)
    meter.rested(origin_ns + seconds(0.5), origin_ns + seconds(5.5))
    return meter.between(origin_ns + seconds(8), origin_ns + seconds(14), inferences=600)


def test_energy_over_latency_is_mean_power_on_the_card_and_at_the_plug() -> None:
    latency_s = 6 / 600
    plug = wall_meter.WallMeter(DATA / "l4_plug.csv")
    ten_in_berlin = 1_795_510_800 * SECOND  # 2026-11-24 09:00:00 UTC, by `date -u -d`
    of_card = metered(Tape(card()))
    of_plug = metered(plug, ten_in_berlin - plug._offset_ns)
    for reading, watts in ((of_card, 70), (of_plug, 330)):
        assert reading.energy_per_inference_j.value is not None
        assert reading.energy_per_inference_j.value / latency_s == pytest.approx(watts)
        assert reading.mean_w.value == pytest.approx(watts)
        assert reading.energy_j.value == pytest.approx(6 * watts)
    assert of_card.active_j.value == pytest.approx(6 * (70 - 16))
    assert of_plug.active_j.value == pytest.approx(6 * (330 - 260))
    assert (of_card.source, of_card.scope) == ("counter", "board")
    assert (of_plug.source, of_plug.scope) == ("wall", "system")
    assert of_card.codes == of_plug.codes == []


def test_active_energy_carries_both_intervals() -> None:
    rng = np.random.default_rng(7)
    watts = np.concatenate((rng.normal(20, 1, 200), rng.normal(60, 4, 200)))
    tape = Tape((Reading(seconds(n / 10), power_w=w) for n, w in enumerate(watts)), "sampled")
    meter = Meter(tape)
    meter.rested(0, seconds(19.9))
    reading = meter.between(seconds(20), seconds(39.9), 100)
    idle, mean, active = reading.idle_w, reading.mean_w, reading.active_j
    assert idle.value is not None
    assert mean.value is not None
    assert active.value == pytest.approx(19.9 * (mean.value - idle.value))
    assert width(active) == pytest.approx(19.9 * math.hypot(width(idle), width(mean)))
    assert active.low is not None
    assert active.low > 0
    assert reading.codes == []


def test_a_load_that_cannot_be_told_from_rest_says_so() -> None:
    rng = np.random.default_rng(8)
    tape = Tape(Reading(seconds(n / 10), power_w=rng.normal(20, 3)) for n in range(400))
    meter = Meter(tape)
    meter.rested(0, seconds(19))
    assert "active-within-noise" in meter.between(seconds(20), seconds(39), 1).codes


def test_rest_that_was_not_metered_leaves_active_energy_without_a_value() -> None:
    reading = Meter(Tape(card())).between(seconds(8), seconds(14), 600)
    assert reading.active_j.value is None
    assert reading.active_j.reason
    assert "idle-missing" in reading.codes
    assert reading.energy_j.value == pytest.approx(420)


def test_no_inferences_no_energy_per_inference() -> None:
    reading = Meter(Tape(card())).between(seconds(8), seconds(14), 0)
    assert reading.energy_per_inference_j.value is None
    assert "no inference" in str(reading.energy_per_inference_j.reason)


def test_a_short_window_has_its_reason_everywhere() -> None:
    reading = Meter(Tape(card())).between(seconds(8), seconds(9), 100)
    values = (reading.energy_j, reading.mean_w, reading.active_j, reading.energy_per_inference_j)
    assert [v.value for v in values] == [None] * 4
    assert all(v.reason and "1.00 s long" in v.reason for v in values)
    assert reading.reason == reading.mean_w.reason
    assert (reading.source, reading.samples) == ("none", 11)


# -- sampling


class Live:
    """A sensor that answers at once; its power is 40 W, by the real clock."""

    source: Source = "counter"
    scope: Scope = "chip"
    title = "live"

    def __init__(self) -> None:
        self.broken = False

    def read(self) -> Reading:
        if self.broken:
            raise OSError("gone")
        at_ns = time.perf_counter_ns()
        return Reading(at_ns, energy_j=40 * at_ns / 1e9, power_w=40.0)


def test_a_sampler_has_readings_on_both_sides_and_ends_its_thread() -> None:
    sampler, threads = Sampler(Live()), threading.active_count()
    with sampler.running():
        start_ns = time.perf_counter_ns()
        time.sleep(0.35)
        end_ns = time.perf_counter_ns()
    times = [reading.at_ns for reading in sampler.readings()]
    assert times == sorted(times)
    assert times[0] <= start_ns
    assert times[-1] >= end_ns
    assert len(times) >= 4
    assert threading.active_count() == threads
    assert sampler.cost is not None
    assert 0 <= sampler.cost < 0.5


def test_a_sensor_that_fails_meanwhile_leaves_a_gap_and_a_code() -> None:
    live = Live()
    sampler = Sampler(live)
    with sampler.running():
        live.broken = True
        time.sleep(0.25)
        live.broken = False
    failed = [r for r in sampler.readings() if "read-failed" in r.codes]
    assert failed
    assert all(r.energy_j is None and r.power_w is None for r in failed)
    assert sampler.readings()[-1].energy_j is not None


def test_an_exception_in_the_load_still_ends_the_thread() -> None:
    sampler, threads = Sampler(Live()), threading.active_count()
    with pytest.raises(ZeroDivisionError), sampler.running():
        _ = 1 / 0
    assert threading.active_count() == threads


def module(sensor: object, measures: str = "cpu") -> SimpleNamespace:
    return SimpleNamespace(MEASURES=measures, find=lambda: sensor)


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> dict[str, SimpleNamespace]:
    """The sensors of a machine, by name, in place of this one's."""
    found: dict[str, SimpleNamespace] = {}
    monkeypatch.setattr(extensions, "names", lambda _: sorted(found))
    monkeypatch.setattr(extensions, "load", lambda _, name: found[name])
    return found


def test_meters_from_rest_to_reading(
    installed: dict[str, SimpleNamespace], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_trace, "SHORTEST_WINDOW_S", 0.2)
    installed["live"] = module(Live())
    installed["other"] = module("not plugged in")
    meters = Meters.find("cpu", idle_s=0.25)
    with meters.running():
        time.sleep(0.25)
    (reading,) = meters.readings(10)
    assert reading.mean_w.value == pytest.approx(40)
    assert reading.idle_w.value == pytest.approx(40)
    assert reading.inferences == 10
    assert reading.sampling_cost is not None
    assert reading.window_s is not None
    assert reading.window_s >= 0.25


def test_no_sensor_is_one_reading_with_every_reason(installed: dict[str, SimpleNamespace]) -> None:
    installed["a"], installed["b"] = module("no driver"), module(Forbidden("root only"), "all")
    meters = Meters.find("cpu", idle_s=60)  # nothing to meter: no time is taken
    with meters.running():
        pass
    (reading,) = meters.readings(10)
    assert reading.codes == ["no-sensor", "permission-denied"]
    assert reading.reason == "a: no driver; b: root only"
    assert reading.energy_per_inference_j.value is None
    assert reading.energy_per_inference_j.reason == reading.reason


def test_a_forbidden_sensor_is_told_beside_one_that_works(
    installed: dict[str, SimpleNamespace],
) -> None:
    installed["a"], installed["b"] = module(Tape(card())), module(Forbidden("root only"))
    installed["c"] = module("no driver")
    ours, denied = Meters.find("cpu", idle_s=0).between(seconds(8), seconds(14), 600)
    assert ours.energy_per_inference_j.value == pytest.approx(0.7)
    assert (denied.codes, denied.reason) == (["no-sensor", "permission-denied"], "b: root only")


def test_sensors_by_what_they_see(installed: dict[str, SimpleNamespace]) -> None:
    cpu, gpu, board, plug = (Tape([], "counter") for _ in range(4))
    plug.source = "wall"
    installed |= {"cpu": module(cpu), "gpu": module(gpu, "gpu")}
    installed |= {"board": module(board, "all"), "plug": module(plug, "all")}
    assert power.find("cpu")[0] == [board, cpu, plug]
    assert power.find("gpu")[0] == [board, gpu, plug]
    assert [m.sensor for m in Meters.find("remote", 0).meters] == [plug]
    (scripted,) = Meters.find("scripted", 0).readings(1)
    assert "nothing draws power" in str(scripted.reason)


def test_a_log_that_breaks_during_the_run_is_no_value_and_no_crash(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text((DATA / "l4_plug.csv").read_text())
    found = wall_meter.find(path)
    assert not isinstance(found, str)
    path.unlink()
    reading = metered_or_fail(found)
    assert reading.codes == ["log-unreadable"]
    assert reading.reason


def metered_or_fail(sensor: wall_meter.WallMeter) -> PowerReading:
    return Meter(sensor).between(0, seconds(6), 1)


def test_every_code_is_in_the_table_and_every_row_of_the_table_is_used() -> None:
    table = str(metering.__doc__)
    listed = set(re.findall(r"^([a-z0-9-]+-[a-z0-9-]+) +(?:none|yes)", table, re.MULTILINE))
    folder = Path(str(power.__file__)).parent
    sources = [*folder.glob("*.py"), Path(str(metering.__file__))]
    text = "".join(path.read_text() for path in sources).replace(table, "")
    used = {code for code in listed if f'"{code}"' in text}
    assert listed == used
    kebab = set(re.findall(r'"([a-z0-9]+(?:-[a-z0-9]+)+)"', text))
    assert kebab - listed <= {"utf-8-sig"}


# -- RAPL


def zone(root: Path, place: str, name: str, energy_uj: int, range_uj: int = 10**9) -> Path:
    folder = root / place
    folder.mkdir(parents=True)
    (folder / "name").write_text(f"{name}\n")
    (folder / "energy_uj").write_text(f"{energy_uj}\n")
    (folder / "max_energy_range_uj").write_text(f"{range_uj}\n")
    return folder


@pytest.fixture
def two_packages(tmp_path: Path) -> Path:
    """A server as powercap shows it, links flattened."""
    zone(tmp_path, "intel-rapl:0", "package-0", 1_000_000)
    zone(tmp_path, "intel-rapl:0:0", "core", 5)
    zone(tmp_path, "intel-rapl:0:1", "dram", 2_000_000)
    zone(tmp_path, "intel-rapl:1", "package-1", 3_000_000)
    zone(tmp_path, "intel-rapl:2", "psys", 7_000_000)
    zone(tmp_path, "intel-rapl-mmio:0", "package-0", 1_000_000)
    (tmp_path / "intel-rapl").mkdir()
    return tmp_path


def add(root: Path, place: str, joules: float) -> None:
    file = root / place / "energy_uj"
    file.write_text(str(int(file.read_text()) + round(joules * 1e6)))


def joules(sensor: rapl.Rapl | str) -> float:
    assert isinstance(sensor, rapl.Rapl), sensor
    energy_j = sensor.read().energy_j
    assert energy_j is not None
    return energy_j


def test_rapl_counts_packages_and_memory_and_nothing_twice(two_packages: Path) -> None:
    sensor = rapl.find(two_packages)
    before = joules(sensor)
    for place in ("intel-rapl:0:0", "intel-rapl:2", "intel-rapl-mmio:0"):
        add(two_packages, place, 100)
    assert joules(sensor) - before == 0
    add(two_packages, "intel-rapl:0", 4)
    add(two_packages, "intel-rapl:1", 2)
    add(two_packages, "intel-rapl:0:1", 1)
    assert joules(sensor) - before == pytest.approx(7)
    assert not isinstance(sensor, str)
    assert sensor.title == "RAPL, 2 processor packages and memory"
    assert (sensor.source, sensor.scope) == ("counter", "chip")


def test_rapl_wraps_around(tmp_path: Path) -> None:
    folder = zone(tmp_path, "intel-rapl:0", "package-0-die-1", 900, range_uj=999)
    sensor = rapl.find(tmp_path)
    seen = [joules(sensor)]
    for now in (950, 20, 19, 999, 0):  # up, past the end, nearly a whole turn, up, past the end
        (folder / "energy_uj").write_text(str(now))
        seen.append(joules(sensor))
    assert np.diff(seen) * 1e6 == pytest.approx([50, 70, 999, 980, 1])


def test_rapl_for_root_only_names_the_file_and_the_remedy(
    two_packages: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read_text = Path.read_text

    def guarded(path: Path, *args: Any, **kwargs: Any) -> str:
        if path.name == "energy_uj":
            raise PermissionError(13, "Permission denied", str(path))
        return read_text(path, *args, **kwargs)

    monkeypatch.setattr(Path, "read_text", guarded)
    reason = rapl.find(two_packages)
    assert isinstance(reason, Forbidden)
    assert "intel-rapl:0/energy_uj" in reason
    assert "sudo chmod a+r" in reason


def test_rapl_is_not_there(tmp_path: Path) -> None:
    reason = rapl.find(tmp_path)
    assert isinstance(reason, str)
    assert "virtual machines" in reason
    assert not isinstance(reason, Forbidden)


# -- INA3221


def monitor(folder: Path, rails: dict[int, tuple[str, int, int]]) -> Path:
    """An INA3221 with (label, mV, mA) by channel."""
    folder.mkdir(parents=True)
    (folder / "name").write_text("ina3221\n")
    for channel, (label, millivolts, milliamperes) in rails.items():
        (folder / f"in{channel}_label").write_text(f"{label}\n")
        (folder / f"in{channel}_input").write_text(f"{millivolts}\n")
        (folder / f"curr{channel}_input").write_text(f"{milliamperes}\n")
    return folder


ORIN_NX = {1: ("VDD_IN", 5000, 2400), 2: ("VDD_CPU_GPU_CV", 5000, 800), 3: ("VDD_SOC", 5000, 500)}
AGX_ORIN = {
    1: ("VDD_GPU_SOC", 20000, 200),
    2: ("VDD_CPU_CV", 20000, 50),
    3: ("VIN_SYS_5V0", 5000, 900),
}
AGX_MEMORY = {1: ("NC", 0, 0), 2: ("VDDQ_VDD2_1V8AO", 5000, 80)}


def watts(sensor: ina3221.Ina3221 | str) -> float:
    assert isinstance(sensor, ina3221.Ina3221), sensor
    power_w = sensor.read().power_w
    assert power_w is not None
    return power_w


@pytest.mark.parametrize(
    "place", ["class/hwmon/hwmon3", "bus/i2c/drivers/ina3221/1-0040/hwmon/hwmon3"]
)
def test_orin_nx_is_its_input_rail(tmp_path: Path, place: str) -> None:
    folder = monitor(tmp_path / place, ORIN_NX)
    (folder / "in7_label").write_text("sum of shunt voltages\n")
    sensor = ina3221.find(tmp_path)
    assert watts(sensor) == pytest.approx(12.0)  # 5 V × 2.4 A
    assert not isinstance(sensor, str)
    assert "VDD_IN" in sensor.title
    assert (sensor.source, sensor.scope) == ("sampled", "board")


def test_agx_orin_is_a_sum_and_its_memory_does_not_count_twice(tmp_path: Path) -> None:
    for number, rails in ((3, AGX_ORIN), (4, AGX_MEMORY)):
        monitor(tmp_path / f"class/hwmon/hwmon{number}", rails)
    assert watts(ina3221.find(tmp_path)) == pytest.approx(4.0 + 1.0 + 4.5)


def test_readings_are_not_averaged(tmp_path: Path) -> None:
    folder = monitor(tmp_path / "class/hwmon/hwmon1", ORIN_NX)
    sensor = ina3221.find(tmp_path)
    (folder / "curr1_input").write_text("4800\n")
    assert watts(sensor) == pytest.approx(24.0)


def test_unknown_rails_are_named_and_not_added_up(tmp_path: Path) -> None:
    monitor(tmp_path / "class/hwmon/hwmon1", AGX_MEMORY)
    reason = ina3221.find(tmp_path)
    assert isinstance(reason, str)
    assert "VDDQ_VDD2_1V8AO" in reason
    assert "VDD_IN" in reason


def test_a_channel_that_is_switched_off(tmp_path: Path) -> None:
    folder = monitor(tmp_path / "class/hwmon/hwmon1", ORIN_NX)
    (folder / "curr1_input").unlink()
    reason = ina3221.find(tmp_path)
    assert isinstance(reason, str)
    assert "switched off" in reason


def test_other_monitors_are_passed_by(tmp_path: Path) -> None:
    folder = monitor(tmp_path / "class/hwmon/hwmon1", ORIN_NX)
    (folder / "name").write_text("ina238\n")
    assert isinstance(ina3221.find(tmp_path), str)


# -- NVML


class Driver:
    """An NVIDIA driver with cards; each answer may be replaced by an error."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, names: Sequence[str] = ("NVIDIA L4",)
    ) -> None:
        self.names = names
        self.energy_mj: int | pynvml.NVMLError = 5_000
        self.instant_mw: int | None = 71_000
        self.usage_mw = 65_000
        self.capability: tuple[int, int] = (8, 9)
        self.throttle = 0
        self.mig: list[int] | pynvml.NVMLError = pynvml.NVMLError_NotSupported()
        answers = {
            "Init": lambda: None,
            "SystemGetDriverVersion": lambda: "580.1",
            "DeviceGetCount": lambda: len(self.names),
            "DeviceGetHandleByIndex": lambda n: n,
            "DeviceGetHandleByUUID": lambda uuid: f"part {uuid}",
            "DeviceGetDeviceHandleFromMigDeviceHandle": lambda part: 0,
            "DeviceGetUUID": lambda n: f"GPU-{n}{n}{n}{n}-beef",
            "DeviceGetName": lambda n: f"{self.names[n]}",
            "DeviceGetCudaComputeCapability": lambda n: self.capability,
            "DeviceGetMigMode": lambda n: self._say(self.mig),
            "DeviceGetTotalEnergyConsumption": lambda n: self._say(self.energy_mj),
            "DeviceGetPowerUsage": lambda n: self.usage_mw,
            "DeviceGetFieldValues": self._fields,
            "DeviceGetCurrentClocksEventReasons": lambda n: self.throttle,
            "DeviceGetTemperature": lambda n, sensor: 61,
            "DeviceGetClockInfo": lambda n, kind: {1: 2040, 2: 6251}[kind],
            "DeviceGetEnforcedPowerLimit": lambda n: 72_000,
            "DeviceGetMemoryInfo": lambda n: SimpleNamespace(total=24_000, used=1_000),
        }
        for name, answer in answers.items():
            monkeypatch.setattr(pynvml, f"nvml{name}", answer)
        for variable in ("CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER"):
            monkeypatch.delenv(variable, raising=False)

    @staticmethod
    def _say(answer: Any) -> Any:
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _fields(self, card: int, fields: list[int]) -> Any:
        assert fields == [pynvml.NVML_FI_DEV_POWER_INSTANT]
        values = (pynvml.c_nvmlFieldValue_t * 1)()
        if self.instant_mw is None:
            values[0].nvmlReturn = pynvml.NVML_ERROR_NOT_SUPPORTED
        else:
            values[0].valueType = pynvml.NVML_VALUE_TYPE_UNSIGNED_INT
            values[0].value.uiVal = self.instant_mw
        return values


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> Driver:
    return Driver(monkeypatch)


def gpu() -> nvml.Nvml:
    found = nvml.find()
    assert not isinstance(found, str), found
    return found


def test_nvml_reads_the_counter_and_the_power_of_the_moment(driver: Driver) -> None:
    reading = gpu().read()
    assert (reading.energy_j, reading.power_w, reading.codes) == (5.0, 71.0, frozenset())
    assert (gpu().source, gpu().scope) == ("counter", "board")
    assert "NVIDIA L4" in gpu().title


@pytest.mark.parametrize(
    ("capability", "codes"),
    [
        ((7, 5), set()),  # Turing: the power of the moment
        ((8, 0), {"sampled-part-time"}),  # GA100: of the moment as well
        ((8, 6), {"averaged-over-1-s"}),
        ((9, 0), {"averaged-over-1-s", "sampled-part-time"}),
    ],
)
def test_a_driver_without_the_field_is_labelled(
    driver: Driver, capability: tuple[int, int], codes: set[str]
) -> None:
    driver.instant_mw, driver.capability = None, capability
    reading = gpu().read()
    assert reading.power_w == 65.0
    assert reading.codes == codes


def test_a_card_without_a_counter_is_sampled(driver: Driver) -> None:
    driver.energy_mj = pynvml.NVMLError_NotSupported()
    assert gpu().source == "sampled"
    assert gpu().read().energy_j is None


def test_a_card_that_is_shared_out_is_counted_whole(
    driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver.mig = [0, 1]  # asked for, and not yet so
    assert "mig-whole-card" not in gpu().read().codes
    driver.mig = [1, 1]
    assert "mig-whole-card" in gpu().read().codes
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "MIG-1234")
    assert "mig-whole-card" in gpu().read().codes


def test_throttling_is_told(driver: Driver) -> None:
    sensor = gpu()
    driver.throttle = pynvml.nvmlClocksEventReasonHwThermalSlowdown
    assert sensor.read().codes == {"throttled-thermal"}
    driver.throttle = pynvml.nvmlClocksEventReasonSwPowerCap
    assert sensor.read().codes == {"throttled-power"}
    driver.throttle = pynvml.nvmlClocksEventReasonGpuIdle
    assert sensor.read().codes == set()


def test_a_card_that_falls_off_the_bus_is_a_failed_reading(driver: Driver) -> None:
    sensor = gpu()
    driver.energy_mj = pynvml.NVMLError_GpuIsLost()
    with pytest.raises(OSError, match="lost"):
        sensor.read()


def test_permission_denied_by_nvml(driver: Driver) -> None:
    driver.energy_mj = pynvml.NVMLError_NoPermission()
    reason = nvml.find()
    assert isinstance(reason, Forbidden)
    assert "Permission" in reason


def test_a_counter_that_starts_anew_is_noticed(driver: Driver) -> None:
    sensor, readings = gpu(), []
    for n in range(70):
        driver.energy_mj = 7_100 * (n if n < 40 else n - 40)
        seen = sensor.read()
        readings.append(Reading(seconds(n / 10), seen.energy_j, seen.power_w, seen.codes))
    window = evaluate(readings, 0, seconds(6.9), sensor.source)
    assert "counter-went-back" in window.codes
    assert window.source == "sampled"
    assert window.mean_w.value == pytest.approx(71)


@pytest.mark.parametrize(
    ("visible", "order", "title"),
    [
        (None, "PCI_BUS_ID", "NVIDIA T4"),
        ("1", "PCI_BUS_ID", "NVIDIA L4"),
        ("1,0", "PCI_BUS_ID", "NVIDIA L4"),
        ("GPU-1111", None, "NVIDIA L4"),
    ],
)
def test_the_card_that_cuda_uses_is_metered(
    monkeypatch: pytest.MonkeyPatch, visible: str | None, order: str | None, title: str
) -> None:
    Driver(monkeypatch, ["NVIDIA T4", "NVIDIA L4"])
    for name, value in (("CUDA_VISIBLE_DEVICES", visible), ("CUDA_DEVICE_ORDER", order)):
        if value is not None:
            monkeypatch.setenv(name, value)
    assert title in gpu().title


@pytest.mark.parametrize(
    ("names", "visible", "reason"),
    [
        (["NVIDIA T4", "NVIDIA L4"], "0", "CUDA_DEVICE_ORDER=PCI_BUS_ID"),
        (["NVIDIA L4"], "", "shows none"),
        (["NVIDIA L4"], "-1", "shows none"),
        (["NVIDIA L4"], "3", "shows none"),
        (["NVIDIA L4"], "GPU-9", "no GPU GPU-9"),
        ([], "0", "no GPU"),
    ],
)
def test_a_card_that_is_not_known_is_not_guessed(
    monkeypatch: pytest.MonkeyPatch, names: list[str], visible: str, reason: str
) -> None:
    Driver(monkeypatch, names)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    found = nvml.find()
    assert isinstance(found, str)
    assert reason in found


def test_the_state_of_the_card(driver: Driver) -> None:
    driver.throttle = pynvml.nvmlClocksEventReasonSwPowerCap
    state = nvml.state()
    assert (state["temperature_c"], state["clock_sm_mhz"]) == (61, 2040)
    assert (state["power_limit_w"], state["throttled"]) == (72.0, ["throttled-power"])
    assert (state["memory_bytes"], state["memory_used_bytes"]) == (24_000, 1_000)


def test_without_a_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    def init() -> None:
        raise pynvml.NVMLError_LibraryNotFound

    monkeypatch.setattr(pynvml, "nvmlInit", init)
    assert "no NVIDIA driver" in str(nvml.find())
    assert nvml.state() == {}


# -- a meter at the plug

LOGS = {
    "seconds": "epoch,watts\n1795510800,100\n1795510801.5,200\n",
    "milliseconds": "timestamp_ms,power_mw\n1795510800000,100000\n1795510801500,200000\n",
    "zulu": "time,Power (W)\n2026-11-24T09:00:00Z,100\n2026-11-24T09:00:01.5Z,200\n",
    "offset": "Time,U (V),P (kW)\n2026-11-24T10:00:00+01:00,230,0.1\n"
    "2026-11-24T10:00:01.5+01:00,230,0.2\n",
    "utc column": "time (UTC),w\n2026-11-24 09:00:00,100\n2026-11-24 09:00:01.5,200\n",
    "decimal comma": "Datetime;Power [W]\n2026-11-24T09:00:00Z;100,0\n2026-11-24T09:00:01,5Z;200,0\n",
    "tabs and BOM": "\ufeffepoch\twatts\n1795510800\t100\n1795510801.5\t200\n",
    "out of order": "epoch,watts\n1795510801.5,200\n1795510800,100\n",
    "duplicates": "epoch,watts\n1795510800,7\n1795510801.5,200\n1795510800,100\n",
}


def write(folder: Path, text: str) -> Path:
    path = folder / "log.csv"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("text", LOGS.values(), ids=LOGS.keys())
def test_every_way_to_write_a_log_says_the_same(tmp_path: Path, text: str) -> None:
    found = wall_meter.find(write(tmp_path, text))
    assert isinstance(found, wall_meter.WallMeter), found
    first, second = found.readings()
    assert first.power_w == pytest.approx(100)
    assert second.power_w == pytest.approx(200)
    assert second.at_ns - first.at_ns == pytest.approx(seconds(1.5), abs=1_000)
    wall_ns = first.at_ns + time.time_ns() - time.perf_counter_ns()
    assert wall_ns == pytest.approx(1_795_510_800 * SECOND, abs=SECOND)
    assert first.codes == frozenset()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "do not tell time and power"),
        ("time,power\n2026-11-24T09:00:00Z,5\n", "with its unit"),
        ("time,date,watts\n", "do not tell"),
        ("time,Voltage (V)\n", "do not tell"),
        ("time,watts\n2026-11-24 09:00:00,5\n", "has no zone"),
        ("time,watts\n12.5,5\n", "not a time since 1970"),
        ("time,watts\n2026-11-24T09:00:00Z,off\n", "could not convert"),
        ("time,watts\n2026-11-24T09:00:00Z,-3\n", "no power drawn"),
        ("time,watts\n", "there is none"),
    ],
)
def test_a_log_that_cannot_be_used_says_why(tmp_path: Path, text: str, reason: str) -> None:
    found = wall_meter.find(write(tmp_path, text))
    assert isinstance(found, str)
    assert reason in found


def test_rows_that_cannot_be_read_are_left_out_and_told(tmp_path: Path) -> None:
    text = LOGS["seconds"] + "1795510803,OL\n17955108"  # out of range; half written
    found = wall_meter.find(write(tmp_path, text))
    assert isinstance(found, wall_meter.WallMeter)
    assert [r.power_w for r in found.readings()] == [100, 200]
    assert found.readings()[0].codes == {"rows-skipped"}


def test_a_wall_clock_that_is_set_during_the_run_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = wall_meter.find(write(tmp_path, LOGS["seconds"]))
    assert isinstance(found, wall_meter.WallMeter)
    real = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: real() + seconds(2))
    assert found.readings()[0].codes == {"clock-stepped"}


def test_the_variable_names_the_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(wall_meter.VARIABLE, raising=False)
    assert "BENCH_WALL_METER" in str(wall_meter.find())
    monkeypatch.setenv(wall_meter.VARIABLE, str(tmp_path / "absent.csv"))
    assert "No such file" in str(wall_meter.find())
    monkeypatch.setenv(wall_meter.VARIABLE, str(write(tmp_path, LOGS["zulu"])))
    assert isinstance(wall_meter.find(), wall_meter.WallMeter)
