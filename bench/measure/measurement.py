"""The measurement record: what was run, where, and what was seen."""

from __future__ import annotations

from typing import Any

from bench.measure.models import ModelFile
from bench.record import SCHEMA_VERSION, Estimate, Record

Columns = dict[str, list[Any]]
"""A table by column name; written as Parquet."""

BATCH_COLUMNS = (
    "arm", "phase", "batch_id", "batch_size", "started_ns", "finished_ns",
    "input_s", "preprocess_s", "execute_s", "predict_s", "postprocess_s", "output_s",
)  # fmt: skip
REQUEST_COLUMNS = (
    "arm", "phase", "batch_id", "sample", "input_bytes", "output_bytes",
    "scheduled_ns", "sent_ns", "started_ns", "finished_ns", "error",
)  # fmt: skip


class PowerReading(Record):
    """Energy over the steady phases, or ``None`` with the reason."""

    source: str | None = None
    scope: str | None = None
    energy_per_inference_j: float | None = None
    mean_w: float | None = None
    idle_w: float | None = None
    window_s: float | None = None
    reason: str | None = None


class Accuracy(Record):
    """Accuracy of the outputs of the timed run, for one group of inputs."""

    metric: str
    group: str
    value: float
    samples: int


class WarmUp(Record):
    """How the warm-up ended: by its rule, or by its limit."""

    batches: int
    settled: bool


class StepStats(Record):
    """Mean seconds of each step for one batch size."""

    batch_size: int
    batches: int
    service: Estimate
    """Mean service time, timed from outside the steps."""
    steps: dict[str, float]


class ArmMeasurement(Record):
    """Everything seen of one arm. The raw times are in the run's Parquet files."""

    arm: str
    backend: str
    device: str
    threads: int
    placement: list[str]
    model: ModelFile | None
    input_hash: str
    samples: int
    budget: str
    load_s: float
    first_call_s: float
    warm_up: WarmUp
    steps: list[StepStats]
    single_stream: dict[str, Estimate]
    """``mean``, ``p50``, ``p90``, ``p99`` of one request at a time, in seconds."""
    accuracy: list[Accuracy]
    accuracy_reason: str | None
    input_bytes: float
    """Mean encoded size of an input."""
    output_bytes: float
    memory_before_bytes: int
    memory_loaded_bytes: int
    memory_peak_bytes: int
    power: PowerReading
    environment: dict[str, Any]
    started_utc: str
    """Wall clock of the anchor; the raw times are monotonic nanoseconds."""
    anchor_ns: int
    warnings: list[str]


class Measurement(Record):
    """All arms of a run."""

    schema_version: int = SCHEMA_VERSION
    arms: list[ArmMeasurement]
