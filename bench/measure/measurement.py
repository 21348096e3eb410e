"""The measurement record: what was run, where, what was seen, and whether it may be believed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

from pydantic import Field

from bench.measure.backends import Placement
from bench.measure.metering import PowerReading
from bench.measure.models import ModelFile
from bench.record import SCHEMA_VERSION, Estimate, Record

Columns = dict[str, list[Any]]
"""A table by column name; written as Parquet."""

BATCH_COLUMNS = (
    "arm", "replicate", "phase", "batch_id", "batch_size", "started_ns", "finished_ns",
    "input_s", "preprocess_s", "execute_s", "predict_s", "postprocess_s", "output_s",
)  # fmt: skip
REQUEST_COLUMNS = (
    "arm", "replicate", "phase", "batch_id", "sample", "size", "input_bytes", "output_bytes",
    "scheduled_ns", "sent_ns", "started_ns", "finished_ns", "error",
)  # fmt: skip

Status = Literal["valid", "not checked", "unstable", "invalid"]


class Verdict(Record):
    """What one validity rule says."""

    rule: str
    status: Status
    reason: str
    """The figures it rests on, and what would mend it."""


def overall(verdicts: Iterable[Verdict]) -> Status:
    """The worst status; a rule that could not be checked does not make a result bad.

    Nor does it make one good: where no rule could be checked, the result is "not checked".
    """
    seen = {v.status for v in verdicts}
    order: tuple[Status, ...] = ("invalid", "unstable", "valid")
    return next((status for status in order if status in seen), "not checked")


class Accuracy(Record):
    """Accuracy of the answers of the timed run, for one group of inputs."""

    metric: str
    group: str
    value: float
    samples: int


class Agreement(Record):
    """How many answers of the timed run are the fp32 reference's."""

    agreeing: int
    answered: int
    reference: str
    """The arm that made the reference, in words."""

    @property
    def share(self) -> float:
        return self.agreeing / self.answered if self.answered else 1.0


class Parity(Record):
    """Raw output tensors against the reference's, over the same inputs one by one."""

    output: int
    samples: int
    largest_difference: float
    """Largest absolute difference of any element."""
    relative_error: float
    """Euclidean norm of the difference over that of the reference."""


class WarmUp(Record):
    """How the warm-up ended: by its rule, or by its limit."""

    batches: int
    settled: bool


class Freshness(Record):
    """Inputs never seen before against the same input repeated, alternating, in the same memory."""

    fresh_s: float | None
    """Median; ``None`` where no input could be changed."""
    repeated_s: float | None
    ratio: Estimate
    """Median of repeated ÷ fresh, pair by pair."""


class GeneratorCheck(Record):
    """The load generator on the null backend, with the schedule of the run it belongs to."""

    sends: int
    late_share: float
    """Sends more than 1 ms behind the schedule, in the run itself."""
    null_p99_s: float | None
    null_late_share: float
    pinned: bool


class Inputs(Record):
    """What is known of each input, in the order of the task."""

    unit: str | None = None
    """Of the sizes; ``None`` where inputs have none."""
    sizes: list[float] = Field(default=[])
    found: list[int] | None = None
    """How much a following task would go on with; ``None``: nothing is counted."""
    skipped: list[int] = Field(default=[])
    """Places among the inputs of a whole chain of those that this task of it is not asked about."""


class Replicate(Record):
    """What one fresh process saw, beside its raw times."""

    replicate: int
    load_s: float
    first_call_s: float
    warm_up: WarmUp
    placements: list[Placement]
    models: list[ModelFile]
    samples: int
    input_hash: str
    tensor_bytes: int
    """All distinct inputs as tensors: whether they fit into the last-level cache."""
    freshness: Freshness
    parity: list[Parity]
    agreement: Agreement | None
    accuracy: list[Accuracy]
    generator: dict[str, GeneratorCheck]
    """By phase, for open-loop loads."""
    capacity: dict[str, list[Trial]]
    memory_before_bytes: int
    memory_loaded_bytes: int
    memory_peak_bytes: int
    power: list[PowerReading]
    clock_drift: float
    """Relative difference between the clock and the independent one over the process's life."""
    inputs: Inputs = Inputs()
    caveat: str | None
    environment: dict[str, Any]
    started_utc: str
    """Wall clock of the anchor; the raw times are monotonic nanoseconds."""
    anchor_ns: int


class Trial(Record):
    """One load of a capacity search."""

    rate: float
    kept: bool | None
    """``None``: too few queries to tell."""
    response: Estimate
    queries: int
    over_limit: int
    reason: str


class StepStats(Record):
    """Mean seconds of each step for one batch size, over all replicates."""

    batch_size: int
    batches: int
    service: Estimate
    """Mean service time, timed from outside the steps."""
    steps: dict[str, float]
    variation: float | None
    """Coefficient of variation of the service time."""


class EarlyStopping(Record):
    """MLPerf-style early stopping at 99 % confidence."""

    percentile: float
    over_limit: int | None
    """Queries over the limit; ``None`` where the load has none."""
    queries: int
    needed: int
    """Queries from which the verdict would be a pass."""
    passed: bool
    estimate_s: float | None
    """Value that the percentile does not exceed."""


class LoadResult(Record):
    """One load pattern: closed loop, open loop or everything at once."""

    phase: str
    kind: str
    queries: int
    errors: int
    duration_s: float
    """The longest of the replicates."""
    throughput: Estimate
    """Inferences per second."""
    offered: float | None
    """Queries per second that the schedule asked for; ``None`` in a closed loop."""
    response: dict[str, Estimate]
    """``mean``, ``p50`` …, finished − scheduled, in seconds."""
    service: dict[str, Estimate]
    """The same of finished − started."""
    early_stopping: EarlyStopping | None
    capacity: Estimate | None
    """Highest rate whose trial kept the limit (``low`` = it, ``high`` = the lowest that did not)."""
    trials: list[Trial]
    status: Status
    verdicts: list[Verdict]


class ArmMeasurement(Record):
    """Everything seen of one arm. The raw times are in the run's Parquet files."""

    arm: str
    task: str
    backend: str
    precision: str
    device: str
    threads: int
    budget: str
    load: Estimate
    first_call: Estimate
    loop_overhead: Estimate
    """Seconds a batch costs beside its six steps, in the loop that serves."""
    steps: list[StepStats]
    loads: list[LoadResult]
    accuracy: list[Accuracy]
    accuracy_reason: str | None
    agreement: Agreement | None
    input_bytes: float
    """Mean encoded size of an input."""
    output_bytes: float
    power: list[PowerReading]
    replicates: list[Replicate]
    status: Status
    """Whether the service times may be used; each load has a status of its own."""
    verdicts: list[Verdict]
    warnings: list[str]

    def load_result(self, kind: str) -> LoadResult | None:
        """The first load of a kind (``"single-stream"``)."""
        return next((load for load in self.loads if load.kind == kind), None)


class FailedArm(Record):
    """An arm that gave no measurement."""

    arm: str
    error: str
    exit_code: int


class Measurement(Record):
    """All arms of a run."""

    schema_version: int = SCHEMA_VERSION
    arms: list[ArmMeasurement]
    failed: list[FailedArm] = Field(default=[])

    def broken(self, *, loads: bool) -> bool:
        """Whether an arm gave no measurement or is INVALID; with ``loads``, or one of its loads is."""
        judged = [arm.status for arm in self.arms]
        if loads:
            judged += [load.status for arm in self.arms for load in arm.loads]
        return bool(self.failed) or "invalid" in judged
