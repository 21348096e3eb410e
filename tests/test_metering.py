"""Meters from rest to reading: active energy, sampling, and machines with and without sensors."""

from __future__ import annotations

import math
import re
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from bench import extensions
from bench.measure import metering, power
from bench.measure.metering import Meter, Meters, PowerReading, Sampler
from bench.measure.power import Forbidden, Reading, Scope, Source, _trace, wall_meter
from tests.busy import until
from tests.power_readings import DATA, SECOND, Tape, card, metered, seconds, width


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
        until(lambda: len(sampler.readings()) >= 3, "three readings")
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
        until(lambda: len(sampler.readings()) >= 3, "a reading while the sensor fails")
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
    assert kebab - listed <= {"utf-8-sig", "utf-16", "intel-rapl", "intel-rapl-mmio"}
