"""One arm in one fresh process: load, first call, warm-up, checks, service profile, loads."""

from __future__ import annotations

import gc
import hashlib
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from bench import extensions
from bench.errors import MeasurementInvalid
from bench.executor import signs_of_life
from bench.measure import environment
from bench.measure.arm_requests import ArmRequest, phases, profile_sizes
from bench.measure.backends import Session
from bench.measure.budget import BUDGETS
from bench.measure.clock import at_once
from bench.measure.freshness import compare_fresh_and_repeated
from bench.measure.inputs import look_at_inputs
from bench.measure.limits import usable_cores
from bench.measure.loader import CALIBRATION_SAMPLES, Loader, build_task, own_faults
from bench.measure.loads import Facts
from bench.measure.measurement import Accuracy, Agreement, Columns, Parity, Replicate, WarmUp
from bench.measure.metering import Meters
from bench.measure.recorder import Recorder
from bench.measure.reference import compare_outputs, count_agreement, read_reference, run_one
from bench.measure.service import PROFILE, Note, Service
from bench.measure.tasks import Sample, Task
from bench.streams import Streams
from bench.turns import Turns

LOADS = "bench.measure.loads"

WARM_UP_TOLERANCE = 0.05
SCORED_ANSWERS = 20_000


def measure_replicate(request: ArmRequest, note: Note) -> tuple[Replicate, Columns, Columns]:
    """Measure one arm once: what was seen, the raw batches and the raw requests.

    Raises:
        MissingRequirement: the backend cannot run here, or the model cannot be had.
        InputError: the model or the inputs cannot be used.
    """
    procedure = _Procedure(request, note)
    try:
        with own_faults(request.task.name):
            return procedure.run()
    finally:
        procedure.turns.close()
        procedure.loader.close()


class _Procedure:
    """The phases in order; they share the loaded service."""

    def __init__(self, request: ArmRequest, note: Note) -> None:
        self.request, self.note = request, note
        self.budget = BUDGETS[request.budget]
        self.generator_core = _reserve_core(request)
        self.task = build_task(request.task.name, request.task.options)
        self.loader = Loader(request.arm, self.task)
        self.clock = self.loader.clock
        self.rng = Streams(request.seed, request.replicate).get("measurement")
        self.recorder = Recorder(request.arm.name, request.replicate)
        self.turns = Turns.of_environment(request.arm.device.threads)

    def run(self) -> tuple[Replicate, Columns, Columns]:
        process = psutil.Process()
        started_utc = datetime.now(UTC).isoformat()
        anchor_ns, reference_ns = at_once(self.clock)
        with signs_of_life(self.note, "getting the model"):
            paths = self.loader.paths()
            self.loader.wait_until_ready()
        self.note("load", 0)
        meters = Meters.find(self.loader.backend.RUNS_ON, self.budget.power_s)
        before = process.memory_info().rss
        sessions, load_s = self._timed(lambda: self.loader.load(paths))
        loaded = process.memory_info().rss
        self.task.prepare(sessions)
        service = self._service(sessions)
        sample = service.take(1)[0]
        _, first_call_s = self._timed(lambda: run_one(self.task, service.patient, sample))
        placements = [session.placement() for session in sessions.values()]
        parity = self._parity(service.patient)
        warm_up = self._warm_up(service)
        freshness = compare_fresh_and_repeated(service, self.budget.fresh_pairs)
        with steady(), meters.running():
            profile(service, self.request, self.budget.batches_per_size, self.budget.limit_s)
            self._require_answers()
            with self.turns:
                facts = self._loads(service)
        answered = self.recorder.answers()
        scores = self.task.score(_for_scoring(self.task, answered))
        inputs = look_at_inputs(self.task, service.patient, answered)
        now_ns, later_ns = at_once(self.clock)
        drift = (now_ns - anchor_ns) / max(later_ns - reference_ns, 1) - 1
        record = Replicate(
            replicate=self.request.replicate,
            load_s=load_s,
            first_call_s=first_call_s,
            warm_up=warm_up,
            placements=placements,
            models=list(self.loader.models.values()),
            samples=len(self.task.samples),
            input_hash=_hash(self.task),
            tensor_bytes=_tensor_bytes(self.task),
            freshness=freshness,
            parity=parity,
            agreement=self._agreement(answered),
            accuracy=[Accuracy(**vars(score)) for score in scores],
            generator={name: f.generator for name, f in facts.items() if f.generator},
            capacity={name: f.trials for name, f in facts.items() if f.trials},
            memory_before_bytes=before,
            memory_loaded_bytes=loaded,
            memory_peak_bytes=_peak_memory(process),
            power=meters.readings(answered.total()),
            clock_drift=drift,
            inputs=inputs,
            caveat=self.task.caveat,
            environment=environment.describe(),
            started_utc=started_utc,
            anchor_ns=anchor_ns,
        )
        sizes = zip(self.task.samples, inputs.sizes, strict=False)  # none where there are none
        return record, self.recorder.batches(), self.recorder.requests(dict(sizes))

    def _service(self, sessions: dict[str, Session]) -> Service:
        return Service(
            self.task,
            sessions,
            self.clock,
            self.recorder,
            self.rng,
            self.note,
            generator_core=self.generator_core,
            concurrent=getattr(self.loader.backend, "THREAD_SAFE", False),
            turns=self.turns,
        )

    def _timed(self, action: Callable[[], Any]) -> tuple[Any, float]:
        start = self.clock()
        result = action()
        return result, (self.clock() - start) / 1e9

    def _parity(self, sessions: Mapping[str, Session]) -> list[Parity]:
        """Raw outputs of the reference's first samples; every sample must be finite."""
        kept = read_reference(Path(self.request.reference))[1] if self.request.reference else []
        pairs = [
            (run_one(self.task, sessions, sample), theirs)
            for sample, theirs in zip(self.task.samples, kept, strict=False)
        ]
        for sample in self.task.samples[len(pairs) : CALIBRATION_SAMPLES]:
            run_one(self.task, sessions, sample)
        # A model that is lighter than the reference's may well have other outputs.
        return compare_outputs(pairs) if not self.request.arm.is_lighter else []

    def _warm_up(self, service: Service) -> WarmUp:
        """Until the medians of two consecutive windows agree, or the limit is reached.

        Windows alternate the smallest and the largest batch, since both allocate on first use.
        """
        window, previous = self.budget.warm_up_window, None
        largest = profile_sizes(self.request, self.task)[-1]
        for done in range(window, self.budget.warm_up_limit + 1, window):
            self.note("warm-up", done / self.budget.warm_up_limit)
            sizes = [1, largest] * (window // 2)
            median = float(np.median([service.try_out(b).service_s / b for b in sizes]))
            if previous is not None and abs(median - previous) <= WARM_UP_TOLERANCE * previous:
                return WarmUp(batches=done, settled=True)
            previous = median
        return WarmUp(batches=self.budget.warm_up_limit, settled=False)

    def _require_answers(self) -> None:
        """Stop where there is no service time at all: a server that is gone, a model that broke."""
        if not self.recorder.mean_service_ns(PROFILE):
            raise MeasurementInvalid(
                "The arm stopped answering: not one request of the service profile was answered, "
                f"after all went well before it ({self.recorder.first_error(PROFILE)})."
            )

    def _loads(self, service: Service) -> dict[str, Facts]:
        facts = {}
        for phase, part in phases(self.request.loads).items():
            module = extensions.load(LOADS, part.name)
            options = module.Options.model_validate(part.options)
            facts[phase] = module.drive(service, options, self.budget, phase)
        return facts

    def _agreement(self, answered: Counter[tuple[Sample, bytes]]) -> Agreement | None:
        if not self.request.reference:
            return None
        return count_agreement(self.task, answered, read_reference(Path(self.request.reference))[0])


def profile(service: Service, request: ArmRequest, rounds: int, limit_s: float) -> None:
    """Every batch size once a round, each round in a new order, so that drift is not a trend."""
    sizes = profile_sizes(request, service.task)
    start = service.clock()
    for done in range(rounds):
        for size in service.rng.permutation(sizes):
            service.serve(PROFILE, service.take(int(size)))
        service.note(PROFILE, (done + 1) / rounds)
        if (service.clock() - start) / 1e9 > limit_s:
            return


@contextmanager
def steady() -> Iterator[None]:
    """No garbage collection inside the timed region."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _reserve_core(request: ArmRequest) -> int | None:
    """Keep a core free for the load generator where the arm does not need them all."""
    threads = request.arm.device.threads
    opens = any(part.name in ("server", "capacity") for part in request.loads)
    if not (opens and threads and threads < usable_cores() and hasattr(os, "sched_setaffinity")):
        return None
    *ours, last = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, ours)
    return last


def _peak_memory(process: psutil.Process) -> int:
    try:
        import resource
        import sys

        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    except ImportError:  # Windows keeps its own peak
        return int(getattr(process.memory_info(), "peak_wset", process.memory_info().rss))


def _hash(task: Task) -> str:
    digest = hashlib.sha256()
    for encoded in task.input(task.samples):
        digest.update(hashlib.sha256(encoded).digest())
    return digest.hexdigest()


def _tensor_bytes(task: Task) -> int:
    one = task.preprocess(task.input([task.samples[0]]))
    return sum(array.nbytes for array in one.values()) * len(task.samples)


def _for_scoring(task: Task, answered: Counter[tuple[Sample, bytes]]) -> list[tuple[Sample, Any]]:
    """Every answer as often as it was given; in a long run, in the same proportions."""
    thin = max(1, answered.total() // SCORED_ANSWERS)
    return [
        pair
        for (sample, output), times in answered.items()
        for pair in [(sample, task.read(output))] * max(1, round(times / thin))
    ]
