"""The profile record: distributions of service time by batch size, and what else was measured."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import pandas as pd
from pydantic import Field

from bench.measure import STEPS, ArmMeasurement, ModelFile, PowerReading, plain_name
from bench.record import SCHEMA_VERSION, Origin, Record
from bench.units import DAY_S, LONGEST_S

SHORTEST_S = 1e-9
"""What a clock of whole nanoseconds cannot tell from nothing counts as one."""


class SampleEnergy(Record):
    """Energy of one sample at the wall, of the whole system that computes it."""

    joules: float
    origin: Origin


BatchSize = Annotated[int, Field(ge=1, le=1_000_000)]
Elapsed = Annotated[float, Field(ge=0, le=LONGEST_S)]
BatchTime = Annotated[float, Field(ge=SHORTEST_S, le=DAY_S)]
"""Of a batch: beyond a day, not even a few would fit into the nanoseconds that are counted."""


class Profile(Record):
    """What a simulation needs to know of one arm.

    ``service_s`` holds every measured service time by batch size, in the order measured. A batch of
    a size between those takes as long as the next larger one, as if it were filled up
    (:meth:`measured_size`); a larger one than any is not known.
    """

    schema_version: int = SCHEMA_VERSION
    arm: str
    task: str
    device: str
    models: list[ModelFile]
    threads: int
    status: Literal["valid", "not checked", "unstable", "invalid"]
    status_reason: str
    """What the validity rules found wrong; empty where nothing was."""
    service_s: dict[BatchSize, Annotated[list[BatchTime], Field(min_length=1)]] = Field(
        min_length=1
    )
    steps_s: dict[int, dict[str, float]]
    loop_overhead_s: Elapsed | None
    """Time a batch costs in the serving loop beside its steps; not part of ``service_s``."""
    load_s: Elapsed
    first_call_s: Elapsed
    memory_bytes: int = Field(ge=0)
    """Peak resident memory of the measuring process."""
    input_bytes: float = Field(ge=0, le=1e15)
    output_bytes: float = Field(ge=0, le=1e15)
    accuracy: dict[str, float]
    """By metric, over all inputs with a known truth."""
    power: list[PowerReading]
    sample_energy: SampleEnergy | None = None
    """``None`` where nothing measured or published it."""
    log_error: float = Field(default=0.0, ge=0, le=10)
    """How well it is known: the standard deviation of the logarithm of a factor that all its
    service times share. Zero for what was measured here, where the times themselves are drawn."""
    environment: dict[str, object]
    origin: Origin

    @property
    def max_batch(self) -> int:
        return max(self.service_s)

    def measured_size(self, batch_size: int) -> int:
        """The measured size whose times a batch takes: its own, or the next larger one.

        Raises:
            ValueError: no batch so large was measured.
        """
        larger = [size for size in self.service_s if size >= batch_size]
        if not larger:
            raise ValueError(
                f"a batch of {batch_size} of {self.arm}, measured up to {self.max_batch}"
            )
        return min(larger)

    def times_s(self, batch_size: int) -> list[float]:
        """Service times of a batch of this size, in seconds."""
        return self.service_s[self.measured_size(batch_size)]

    def mean_service_s(self, batch_size: int) -> float:
        values = self.times_s(batch_size)
        return sum(values) / len(values)

    def borrowed(self, largest: int) -> Origin | None:
        """What is taken for batches of up to ``largest`` that were not measured; ``None`` if none."""
        sizes = [size for size in range(1, largest + 1) if size not in self.service_s]
        if not sizes:
            return None
        taken = sorted({self.measured_size(size) for size in sizes})
        return Origin(
            subject=f"batches of {_spans(sizes)} of {self.arm}",
            provenance="assumed",
            source="not measured; taken to last as long as the next larger one that was: "
            + ", ".join(map(str, taken)),
        )


def build_profile(measured: ArmMeasurement, batches: pd.DataFrame, task: str) -> Profile:
    """The profile of one arm from its measurement and the raw batches of the run."""
    own = batches[batches["arm"] == measured.arm]
    rows = own[own["phase"] == "profile"]
    alone = own[own["phase"] == "single-stream"]
    service: dict[int, list[float]] = {}
    for size, group in rows.groupby("batch_size"):
        if size == 1:  # the single stream went through the same loop, and has the tail
            group = pd.concat([group, alone])
        times = (group["finished_ns"] - group["started_ns"]) / 1e9
        service[int(str(size))] = times.clip(lower=SHORTEST_S).tolist()
    counts = ", ".join(f"{len(found)} of {size}" for size, found in service.items())
    first = measured.replicates[0]
    return Profile(
        arm=measured.arm,
        task=task,
        device=measured.device,
        models=first.models,
        threads=measured.threads,
        status=measured.status,
        status_reason="; ".join(
            f"{v.rule}: {v.reason}"
            for v in measured.verdicts
            if v.status in ("invalid", "unstable")
        ),
        service_s=service,
        steps_s={s.batch_size: {k: s.steps[k] for k in STEPS} for s in measured.steps},
        loop_overhead_s=measured.loop_overhead.value,
        load_s=measured.load.value or 0.0,
        first_call_s=measured.first_call.value or 0.0,
        memory_bytes=max(r.memory_peak_bytes for r in measured.replicates),
        input_bytes=measured.input_bytes,
        output_bytes=measured.output_bytes,
        accuracy={a.metric: a.value for a in measured.accuracy if a.group == "all"},
        power=measured.power,
        environment=first.environment,
        origin=Origin(
            subject=f"service times of {measured.arm}",
            provenance="measured",
            source=(
                f"{len(measured.replicates)} process(es) on {first.environment.get('cpu')}, "
                f"{measured.threads} thread(s); batches measured: {counts}"
            ),
            as_of=first.started_utc[:10],
        ),
    )


def _spans(sizes: Sequence[int]) -> str:
    """``17 to 23, 25 to 31`` of sizes in order."""
    begins = [size for size in sizes if size - 1 not in sizes]
    ends = [size for size in sizes if size + 1 not in sizes]
    return ", ".join(
        f"{begin}" if begin == end else f"{begin} to {end}"
        for begin, end in zip(begins, ends, strict=True)
    )


def file_name(arm: str) -> str:
    """The file a profile is kept in, under ``profiles/``."""
    return f"{plain_name(arm)}.json"
