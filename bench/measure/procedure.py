"""One arm, measured: load, first call, warm-up, batch sizes in shuffled order, single stream."""

from __future__ import annotations

import gc
import hashlib
import os
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import count
from typing import Any

import numpy as np
import psutil

from bench import extensions
from bench.errors import MissingRequirement
from bench.measure import environment, power
from bench.measure.backends import Clock, Session
from bench.measure.budget import BUDGETS, Budget
from bench.measure.measurement import (
    BATCH_COLUMNS,
    REQUEST_COLUMNS,
    Accuracy,
    ArmMeasurement,
    Columns,
    PowerReading,
    StepStats,
    WarmUp,
)
from bench.measure.tasks import STEPS, Sample, Task
from bench.measure.worker import ServedBatch, serve
from bench.record import Record
from bench.scenario import Arm, Part, ResolvedScenario
from bench.stats import mean_interval, quantile

TASKS = "bench.measure.tasks"
BACKENDS = "bench.measure.backends"

WARM_UP_TOLERANCE = 0.05
DRIFT_TOLERANCE = 0.10
IDLE_WINDOW_S = 2.0


class ArmRequest(Record):
    """All that a fresh process needs to measure one arm."""

    arm: Arm
    task: Part
    budget: str
    max_batch: int
    seed: int


def plan_arms(scenario: ResolvedScenario, seed: int) -> list[ArmRequest]:
    """One request per distinct arm of the scenario."""
    plan = scenario.scenario.measure
    return [
        ArmRequest(
            arm=arm,
            task=scenario.scenario.task,
            budget=plan.budget,
            max_batch=plan.max_batch,
            seed=seed,
        )
        for arm in scenario.distinct_arms
    ]


def measure_arm(request: ArmRequest) -> tuple[ArmMeasurement, Columns, Columns]:
    """Measure one arm: the record, the raw batches and the raw requests.

    Raises:
        MissingRequirement: the backend cannot run here, or the model cannot be had.
        InputError: the model or the inputs cannot be used.
    """
    task_module = extensions.load(TASKS, request.task.name)
    task: Task = task_module.build(task_module.Options.model_validate(request.task.options))
    return _Procedure(request, task).run()


class _Procedure:
    """The phases in order; they share the loaded session and the raw tables."""

    def __init__(self, request: ArmRequest, task: Task) -> None:
        self.request, self.task = request, task
        self.budget: Budget = BUDGETS[request.budget]
        backend = extensions.load(BACKENDS, request.arm.backend.name)
        if reason := backend.missing():
            raise MissingRequirement(
                f"The backend {request.arm.backend.name!r} cannot run here: it needs {reason}."
            )
        self.backend = backend
        self.options = backend.Options.model_validate(request.arm.backend.options)
        self.clock: Clock = backend.clock(self.options)
        self.threads = request.arm.device.threads or _usable_cores()
        self.rng = np.random.default_rng([request.seed, 1])
        self.samples = _rotation(task.samples, self.rng)
        self.batches: Columns = {name: [] for name in BATCH_COLUMNS}
        self.requests: Columns = {name: [] for name in REQUEST_COLUMNS}
        self.answered: list[tuple[Sample, bytes]] = []
        self.ids = count()

    def run(self) -> tuple[ArmMeasurement, Columns, Columns]:
        process = psutil.Process()
        started_utc, anchor_ns = datetime.now(UTC).isoformat(), self.clock()
        sensor, no_sensor = power.find("cpu")
        idle_w = _idle_power(sensor)
        before = process.memory_info().rss
        session, load_s = self._timed(self._load)
        loaded = process.memory_info().rss
        self.task.prepare(session.metadata())
        _, first_call_s = self._timed(lambda: serve(self.task, session, self._take(1), self.clock))
        warm_up = self._warm_up(session)
        gc.collect()
        gc.disable()
        try:
            energy_before, steady_from = sensor.read_j() if sensor else 0.0, time.perf_counter()
            self._batch_sizes(session)
            self._single_stream(session)
            steady_s = time.perf_counter() - steady_from
        finally:
            gc.enable()
        if sensor is None:
            reading = PowerReading(reason=f"no sensor ({no_sensor})")
        else:
            energy_j = sensor.read_j() - energy_before
            reading = _power_reading(sensor, energy_j, steady_s, len(self.answered), idle_w)
        scores = self.task.score(self.answered)
        steps, single = self._step_stats(), self._single_stream_stats()
        record = ArmMeasurement(
            arm=self.request.arm.name,
            backend=self.request.arm.backend.name,
            device=self.request.arm.device.name,
            threads=self.threads,
            placement=session.placement(),
            model=self.task.model_file,
            input_hash=_hash(self.task.samples, self.task),
            samples=len(self.task.samples),
            budget=self.request.budget,
            load_s=load_s,
            first_call_s=first_call_s,
            warm_up=warm_up,
            steps=steps,
            single_stream=single,
            accuracy=[Accuracy(**vars(score)) for score in scores],
            accuracy_reason=None if scores else "no input comes with a known truth",
            input_bytes=float(np.mean(self.requests["input_bytes"])),
            output_bytes=float(np.mean(self.requests["output_bytes"])),
            memory_before_bytes=before,
            memory_loaded_bytes=loaded,
            memory_peak_bytes=_peak_memory(process),
            power=reading,
            environment=environment.describe(),
            started_utc=started_utc,
            anchor_ns=anchor_ns,
            warnings=self._warnings(warm_up, steps, single),
        )
        return record, self.batches, self.requests

    def _load(self) -> Session:
        loaded: Session = self.backend.load(self.task.model, self.options, self.threads, self.clock)
        return loaded

    def _timed(self, action: Any) -> tuple[Any, float]:
        start = self.clock()
        result = action()
        return result, (self.clock() - start) / 1e9

    def _take(self, size: int) -> list[Sample]:
        return [next(self.samples) for _ in range(size)]

    def _warm_up(self, session: Session) -> WarmUp:
        """Until the medians of two consecutive windows agree, or the limit is reached.

        Windows alternate the smallest and the largest batch, since both allocate on first use.
        """
        window, previous = self.budget.warm_up_window, None
        for done in range(window, self.budget.warm_up_limit + 1, window):
            sizes = [1, self.request.max_batch] * (window // 2)
            times = [
                serve(self.task, session, self._take(b), self.clock).service_s / b for b in sizes
            ]
            median = float(np.median(times))
            if previous is not None and abs(median - previous) <= WARM_UP_TOLERANCE * previous:
                return WarmUp(batches=done, settled=True)
            previous = median
        return WarmUp(batches=self.budget.warm_up_limit, settled=False)

    def _batch_sizes(self, session: Session) -> None:
        """Every size equally often, in one shuffled order, so that drift is not a trend."""
        order = np.repeat(np.arange(1, self.request.max_batch + 1), self.budget.batches_per_size)
        for size in self.rng.permutation(order):
            self._keep("batch sizes", serve(self.task, session, self._take(int(size)), self.clock))

    def _single_stream(self, session: Session) -> None:
        for _ in range(self.budget.single_stream):
            self._keep("single stream", serve(self.task, session, self._take(1), self.clock))

    def _keep(self, phase: str, batch: ServedBatch) -> None:
        number = next(self.ids)
        times = (batch.started_ns, batch.finished_ns)
        row = (self.request.arm.name, phase, number, len(batch.samples), *times)
        for column, value in zip(BATCH_COLUMNS, (*row, *batch.step_seconds), strict=True):
            self.batches[column].append(value)
        for sample, size, output in zip(
            batch.samples, batch.input_bytes, batch.outputs, strict=True
        ):
            # In a closed loop a request is scheduled and sent at the moment it starts.
            values = (
                self.request.arm.name, phase, number, sample.path.name, size, len(output),
                batch.started_ns, batch.started_ns, *times, None,
            )  # fmt: skip
            for column, value in zip(REQUEST_COLUMNS, values, strict=True):
                self.requests[column].append(value)
            self.answered.append((sample, output))

    def _columns(self, phase: str, size: int | None = None) -> dict[str, Any]:
        table = {name: np.array(self.batches[name]) for name in BATCH_COLUMNS[1:]}
        chosen = table["phase"] == phase
        if size is not None:
            chosen &= table["batch_size"] == size
        return {name: values[chosen] for name, values in table.items()}

    def _step_stats(self) -> list[StepStats]:
        stats = []
        for size in range(1, self.request.max_batch + 1):
            rows = self._columns("batch sizes", size)
            service = (rows["finished_ns"] - rows["started_ns"]) / 1e9
            stats.append(
                StepStats(
                    batch_size=size,
                    batches=len(service),
                    service=mean_interval(service),
                    steps={step: float(rows[f"{step}_s"].mean()) for step in STEPS},
                )
            )
        return stats

    def _single_stream_stats(self) -> dict[str, Any]:
        rows = self._columns("single stream")
        service = (rows["finished_ns"] - rows["started_ns"]) / 1e9
        quantiles = {f"p{q:g}": quantile(service, q / 100) for q in (50, 90, 99)}
        return {"mean": mean_interval(service), **quantiles}

    def _warnings(
        self, warm_up: WarmUp, steps: Sequence[StepStats], single: dict[str, Any]
    ) -> list[str]:
        warnings = [self.budget.caveat] if self.budget.caveat else []
        if not warm_up.settled:
            warnings.append(
                f"{self.request.arm.name}: the warm-up reached its limit of {warm_up.batches} "
                "batches before two windows agreed within 5 %"
            )
        alone, mixed = single["mean"].value, steps[0].service.value
        if alone and mixed and abs(alone - mixed) > DRIFT_TOLERANCE * mixed:
            warnings.append(
                f"{self.request.arm.name}: batches of one took {mixed * 1e3:.2f} ms among other "
                f"sizes and {alone * 1e3:.2f} ms one after another; the machine drifted, or sizes "
                "influence each other"
            )
        return warnings


def _rotation(samples: Sequence[Sample], rng: np.random.Generator) -> Iterator[Sample]:
    """Endless samples: each pass over all of them in a new order."""
    while True:
        for index in rng.permutation(len(samples)):
            yield samples[index]


def _usable_cores() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:
        return os.cpu_count() or 1


def _idle_power(sensor: power.Sensor | None) -> float | None:
    if sensor is None:
        return None
    before, start = sensor.read_j(), time.perf_counter()
    time.sleep(IDLE_WINDOW_S)
    return (sensor.read_j() - before) / (time.perf_counter() - start)


def _power_reading(
    sensor: power.Sensor, energy_j: float, seconds: float, inferences: int, idle_w: float | None
) -> PowerReading:
    return PowerReading(
        source=sensor.source,
        scope=sensor.scope,
        energy_per_inference_j=energy_j / inferences,
        mean_w=energy_j / seconds,
        idle_w=idle_w,
        window_s=seconds,
    )


def _peak_memory(process: psutil.Process) -> int:
    try:
        import resource
        import sys

        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    except ImportError:  # Windows keeps its own peak
        return int(getattr(process.memory_info(), "peak_wset", process.memory_info().rss))


def _hash(samples: Sequence[Sample], task: Task) -> str:
    digest = hashlib.sha256()
    for encoded in task.input(samples):
        digest.update(hashlib.sha256(encoded).digest())
    return digest.hexdigest()
