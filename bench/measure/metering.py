"""Energy of a run: sensors read beside it, at rest before it, and what that says of an inference.

The window is that of the performance figures and at least 5 s long. The trapezoidal rule with
interpolated boundaries, no gap over 3 s, a counter held against the trapezoid within 5 % and codes
for everything that is amiss are the contract of InferenceX's ``aggregate_power.py``. Power at rest
is metered by the same sensor before the model is loaded, so that what the loaded model draws while
it waits (a GPU's context, a raised clock) counts as active.

What a reading's ``codes`` say:

============================  =====  ====================================================================
code                          value  meaning
============================  =====  ====================================================================
no-sensor                     none   nothing here reads the power of this device
permission-denied             none   there is a sensor, but this user may not read it
window-shorter-than-5-s       none   too short to tell power from its fluctuation
gap-over-3-s                  none   no reading for more than 3 s, or fewer than two in all
log-unreadable                none   the meter's own record cannot be used
counter-stale                 yes¹   the counter stood still for more than 1 s
counter-went-back             yes¹   the counter fell: it was set back, or its driver loaded anew
counter-jumped                yes¹   the counter rose by more than such a thing can draw
power-implausible             yes    readings below zero or above what such a thing can draw are left out
mirrors-left-out              yes    several zones showed one counter, which is counted once
counter-and-trapezoid-differ  yes    by more than 5 %; the counter is given
averaged-over-1-s             yes    each power reading is the mean of the second before it
sampled-part-time             yes    the chip's power is sampled about a quarter of the time
mig-whole-card                yes    the card is shared out (MIG); all of it is counted
throttled-power               yes    clocks were lowered to keep within a power limit
throttled-thermal             yes    clocks were lowered because of heat
read-failed                   yes    at least one reading failed
rows-skipped                  yes    at least one row of the meter's log could not be read
clock-stepped                 yes    the wall clock was set during the run: rows may be shifted
idle-missing                  yes    power at rest has no value, so active energy has none
active-within-noise           yes    the interval of active energy includes zero
============================  =====  ====================================================================

¹ From the trapezoid, ``sampled``; none where the sensor reads no power beside its counter.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

from pydantic import Field

from bench.errors import InputError
from bench.measure import power
from bench.measure.backends import RunsOn
from bench.measure.power import Forbidden, Log, Reading, Scope, Sensor, Source
from bench.measure.power._trace import Window, evaluate
from bench.record import Estimate, Record

PERIOD_S = 0.1
MOST_W: dict[Scope, float] = {"chip": 10_000.0, "board": 3_000.0, "system": 50_000.0}
"""More than all processors of a machine, a card or module, and a machine draw."""
_NOT_READ = Estimate.absent("no reading")


class PowerReading(Record):
    """Energy over one window from one sensor, or ``None`` with the reason.

    Intervals are of the power drawn, from the spread between parts of the window; the error of
    the sensor comes on top. Energy ÷ window is the mean power, and energy per inference ÷ (window
    ÷ inferences) as well.
    """

    source: Source = "none"
    """Where the value comes from: a counter at fault makes it ``sampled``."""
    scope: Scope | None = None
    sensor: str | None = None
    window_s: float | None = None
    samples: int = 0
    """Readings within the window."""
    largest_gap_s: float | None = None
    energy_j: Estimate = _NOT_READ
    mean_w: Estimate = _NOT_READ
    idle_w: Estimate = _NOT_READ
    """At rest, before the model was loaded."""
    active_j: Estimate = _NOT_READ
    """Energy less what the same time at rest takes."""
    inferences: int | None = None
    energy_per_inference_j: Estimate = _NOT_READ
    counter_j: float | None = None
    trapezoid_j: float | None = None
    """Both ways to the energy, where the sensor has them and they are not at fault."""
    sampling_cost: float | None = None
    """Share of one core that reading the sensor took; its power is part of what was metered."""
    codes: list[str] = Field(default_factory=list)
    reason: str | None = None
    """Why there is no value."""


class Sampler:
    """Reads a sensor ten times a second in a thread of its own while it runs.

    The first reading is taken before :meth:`running` begins and the last after it ends, so that a
    window in between has readings on both sides.
    """

    def __init__(self, sensor: Sensor) -> None:
        self._sensor = sensor
        self._readings: list[Reading] = []
        self._busy_ns = self._lifetime_ns = 0

    def readings(self) -> Sequence[Reading]:
        return tuple(self._readings)

    @property
    def cost(self) -> float | None:
        """Processor time of the thread ÷ the time it ran, once it has ended."""
        return self._busy_ns / self._lifetime_ns if self._lifetime_ns else None

    @contextmanager
    def running(self) -> Iterator[None]:
        end = threading.Event()
        thread = threading.Thread(target=self._sample, args=(end,), name="power", daemon=True)
        self._take()
        thread.start()
        try:
            yield
        finally:
            end.set()
            thread.join()
            self._take()

    def _sample(self, end: threading.Event) -> None:
        started = time.perf_counter()
        due = started + PERIOD_S
        while not end.wait(max(due - time.perf_counter(), 0.0)):
            self._take()
            # After a stall the readings that were missed are gone; two at once would not help.
            due = max(due + PERIOD_S, time.perf_counter())
        self._busy_ns += time.thread_time_ns()
        self._lifetime_ns += round((time.perf_counter() - started) * 1e9)

    def _take(self) -> None:
        try:
            reading = self._sensor.read()
        except (OSError, ValueError):
            reading = Reading(time.perf_counter_ns(), codes=frozenset({"read-failed"}))
        self._readings.append(reading)


class Meter:
    """One sensor, its power at rest, and the energy of any window it was running in."""

    def __init__(self, sensor: Sensor | Log) -> None:
        self.sensor = sensor
        self._log = sensor if isinstance(sensor, Log) else Sampler(sensor)
        self._rest: tuple[int, int] | None = None

    @contextmanager
    def running(self) -> Iterator[None]:
        """Read the sensor meanwhile; a meter with a record of its own needs nothing."""
        with self._log.running() if isinstance(self._log, Sampler) else ExitStack():
            yield

    def rested(self, start_ns: int, end_ns: int) -> None:
        """Take the time between two moments as that at rest."""
        self._rest = (start_ns, end_ns)

    def between(self, start_ns: int, end_ns: int, inferences: int | None = None) -> PowerReading:
        """Energy between two moments of ``time.perf_counter_ns``, in which ``inferences`` ended."""
        try:
            readings = self._log.readings()
        except (InputError, OSError) as error:
            return _absent(str(error), ["log-unreadable"], self.sensor)
        source, most_w = self.sensor.source, MOST_W[self.sensor.scope]
        window = evaluate(readings, start_ns, end_ns, source, most_w)
        rest = evaluate(readings, *self._rest, source, most_w) if self._rest else None
        cost = self._log.cost if isinstance(self._log, Sampler) else None
        return _reading(self.sensor, window, rest, inferences, cost)


class Meters:
    """All meters of one device, and why there are not more."""

    def __init__(self, meters: Sequence[Meter], reasons: dict[str, str]) -> None:
        self.meters, self.reasons = meters, reasons
        self._window = (0, 0)

    @classmethod
    def find(cls, runs_on: RunsOn, idle_s: float) -> Meters:
        """The meters that see a backend which runs there; takes ``idle_s`` to meter it at rest."""
        meters = cls(*_usable(runs_on))
        if meters.meters:
            with meters.running():
                time.sleep(idle_s)
            for meter in meters.meters:
                meter.rested(*meters._window)
        return meters

    @contextmanager
    def running(self) -> Iterator[None]:
        """Meter what happens meanwhile."""
        with ExitStack() as stack:
            for meter in self.meters:
                stack.enter_context(meter.running())
            start_ns = time.perf_counter_ns()
            try:
                yield
            finally:
                self._window = (start_ns, time.perf_counter_ns())

    def readings(self, inferences: int) -> list[PowerReading]:
        """What the last :meth:`running` took, by sensor; one with the reason where there is none.

        A sensor that this user may not read is in the list as well.
        """
        return self.between(*self._window, inferences)

    def between(self, start_ns: int, end_ns: int, inferences: int) -> list[PowerReading]:
        """The same for a part of the time in which the meters were running."""
        read = [meter.between(start_ns, end_ns, inferences) for meter in self.meters]
        denied = {n: why for n, why in self.reasons.items() if isinstance(why, Forbidden)}
        unread = denied if self.meters else self.reasons
        if unread or not read:
            codes = ["no-sensor", *(["permission-denied"] if denied else [])]
            reason = "; ".join(f"{name}: {why}" for name, why in unread.items())
            read.append(_absent(reason or "no sensor is known", codes))
        return read


def _usable(runs_on: RunsOn) -> tuple[list[Meter], dict[str, str]]:
    if runs_on == "scripted":
        return [], {"scripted": "the times are scripted, nothing draws power"}
    sensors, reasons = power.find("all" if runs_on == "remote" else runs_on)
    if runs_on == "remote":
        # Only the user can know that a meter is at the other machine's plug.
        local = [s.title for s in sensors if s.source != "wall"]
        sensors = [s for s in sensors if s.source == "wall"]
        reasons |= dict.fromkeys(local, "sees this machine, and the model may run on another")
    return [Meter(sensor) for sensor in sensors], reasons


def _absent(reason: str, codes: list[str], sensor: Sensor | Log | None = None) -> PowerReading:
    none = Estimate.absent(reason)
    return PowerReading(
        scope=sensor.scope if sensor else None,
        sensor=sensor.title if sensor else None,
        energy_j=none,
        mean_w=none,
        idle_w=none,
        active_j=none,
        energy_per_inference_j=none,
        codes=codes,
        reason=reason,
    )


def _reading(
    sensor: Sensor | Log,
    window: Window,
    rest: Window | None,
    inferences: int | None,
    cost: float | None,
) -> PowerReading:
    idle_w = rest.mean_w if rest else Estimate.absent("power at rest was not metered")
    energy_j = _times(window.mean_w, window.length_s)
    active_j = _times(_less(window.mean_w, idle_w), window.length_s)
    codes = set(window.codes)
    if idle_w.value is None:
        codes.add("idle-missing")
    if (
        active_j.low is not None
        and active_j.high is not None
        and active_j.low <= 0 <= active_j.high
    ):
        codes.add("active-within-noise")
    if inferences:
        per_inference = _times(energy_j, 1 / inferences)
    else:
        per_inference = Estimate.absent("no inference ended in the window")
    return PowerReading(
        source=window.source,
        scope=sensor.scope,
        sensor=sensor.title,
        window_s=window.length_s,
        samples=window.samples,
        largest_gap_s=window.largest_gap_s,
        energy_j=energy_j,
        mean_w=window.mean_w,
        idle_w=idle_w,
        active_j=active_j,
        inferences=inferences,
        energy_per_inference_j=per_inference,
        counter_j=window.counter_j,
        trapezoid_j=window.trapezoid_j,
        sampling_cost=cost,
        codes=sorted(codes),
        reason=window.mean_w.reason if window.mean_w.value is None else None,
    )


def _times(estimate: Estimate, factor: float) -> Estimate:
    """The estimate in another unit; ``factor`` is not negative."""
    scaled = {
        name: None if bound is None else bound * factor
        for name in ("value", "low", "high")
        for bound in [getattr(estimate, name)]
    }
    return estimate.model_copy(update=scaled)


def _less(total: Estimate, idle: Estimate) -> Estimate:
    """The difference of two independent means; half-widths add in quadrature (JCGM 100, §5.1.2)."""
    if total.value is None or idle.value is None:
        return Estimate.absent((total if total.value is None else idle).reason or "no value")
    value, n = total.value - idle.value, min(total.n, idle.n)
    if total.high is None or idle.high is None:
        return Estimate(value=value, n=n, reason="one observation, no interval")
    half = math.hypot(total.high - total.value, idle.high - idle.value)
    return Estimate(value=value, low=value - half, high=value + half, n=n)
