"""Logs of a meter at the plug, in every way they are written."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.measure.power import wall_meter
from tests.power_readings import SECOND, seconds

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
    "milliseconds not named": "timestamp,power_w\n1795510800000,100\n1795510801500,200\n",
    "microseconds": "timestamp,power_w\n1795510800000000,100\n1795510801500000,200\n",
    "nanoseconds": "timestamp,power_w\n1795510800000000000,100\n1795510801500000000,200\n",
    "date and time": "Date,Time (UTC),W\n2026-11-24,09:00:00,100\n2026-11-24,09:00:01.5,200\n",
    "UTC in words": "time,watts\n2026-11-24 09:00:00 UTC,100\n2026-11-24 09:00:01.5 UTC,200\n",
    "day first": "time_utc;W\n24.11.2026 09:00:00;100\n24.11.2026 09:00:01,5;200\n",
    "slashes": "time_utc,W\n11/24/2026 9:00:00 AM,100\n11/24/2026 09:00:01.5 AM,200\n",
    "quoted commas": 'epoch,Power (W)\n1795510800,"100,0"\n1795510801.5,"200,0"\n',
    "grouped": 'epoch,Power (mW)\n1795510800,"100,000.0"\n1795510801.5,"200,000.0"\n',
    "grouped by points": "epoch;Power (mW)\n1795510800;100.000,0\n1795510801,5;200.000,0\n",
    "German": "Zeit;Leistung (W)\n2026-11-24T09:00:00Z;100,0\n2026-11-24T09:00:01.5Z;200,0\n",
    "said beforehand": "# meter: XY123\nmodel;7\n\nepoch,watts\n1795510800,100\n1795510801.5,200\n",
    "separator named": "sep=;\nepoch;watts\n1795510800;100\n1795510801,5;200\n",
    "several powers": "epoch,W,W min,W max\n1795510800,100,90,110\n1795510801.5,200,0,900\n",
    "other quantities": "Timestamp,Voltage (V),Current (A),Power (W),Apparent (VA),Energy (Wh)\n"
    "1795510800,230,0.4,100,101,0.01\n1795510801.5,230,0.9,200,202,0.02\n",
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
        ("time,timestamp,watts\n", "do not tell"),
        ("time,date,watts\n", "there is none"),
        ("W1 (W),W2 (W),time\n", "do not tell"),
        ('epoch,watts\n1795510800,"1,023"\n', "a thousand or a fraction"),
        ("time_utc,watts\n03/04/2026 09:00:00,5\n", "day or with the month"),
        ("epoch,watts\n4102444000,5\n", "in the future"),
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


@pytest.mark.parametrize("order", ["utf-16-le", "utf-16-be"])
def test_utf_16_as_spreadsheets_write_it(tmp_path: Path, order: str) -> None:
    path = tmp_path / "log.csv"
    half = "\n17955108".encode(order)[:-1]  # being written
    path.write_bytes("\ufeff".encode(order) + LOGS["zulu"].rstrip().encode(order) + half)
    found = wall_meter.find(path)
    assert isinstance(found, wall_meter.WallMeter), found
    assert [r.power_w for r in found.readings()] == [100, 200]


@pytest.fixture
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("berlin")
@pytest.mark.parametrize("hour", [9, 10], ids=["UTC", "local"])
@pytest.mark.parametrize("head", ["time,W", "Date,Time,W"])
def test_a_zone_that_is_not_written_is_told_by_when_the_file_was(
    tmp_path: Path, hour: int, head: str
) -> None:
    """09:00 UTC is 10:00 in Berlin in November; the last row is as old as the file."""
    between = "," if head.startswith("Date") else " "
    rows = [
        f"2026-11-24{between}{hour:02}:00:0{second},{watts}" for second, watts in ((0, 5), (1, 6))
    ]
    path = write(tmp_path, "\n".join([head, *rows, ""]))
    os.utime(path, (1_795_510_802, 1_795_510_802))
    found = wall_meter.find(path)
    assert isinstance(found, wall_meter.WallMeter), found
    first = found.readings()[0]
    wall_ns = first.at_ns + time.time_ns() - time.perf_counter_ns()
    assert wall_ns == pytest.approx(1_795_510_800 * SECOND, abs=SECOND)
    os.utime(path, (1_795_600_000, 1_795_600_000))  # copied a day later: nothing tells
    assert "has no zone" in str(wall_meter.find(path))
