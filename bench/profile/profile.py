"""The profile record: distributions of service time by batch size, and what else was measured."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Literal

import pandas as pd
from pydantic import Field

from bench.measure import STEPS, ArmMeasurement, Inputs, ModelFile, PowerReading, plain_name
from bench.profile.growth import MeasuredSizes, in_rows, measured_sizes
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
    weight_bytes: float | None = Field(default=None, ge=0)
    """Of the model, as they are stored; ``None`` where they were not counted."""
    activation_bytes: float | None = Field(default=None, ge=0)
    """All that is written while one sample is computed; ``None`` likewise."""
    input_bytes: float = Field(ge=0, le=1e15)
    output_bytes: float = Field(ge=0, le=1e15)
    accuracy: dict[str, float]
    """By metric, over all inputs with a known truth."""
    power: list[PowerReading]
    sizes: MeasuredSizes | None = None
    """How times and bytes follow the sizes of the inputs; ``None`` where the task has no sizes."""
    found: list[Annotated[int, Field(ge=0)]] | None = None
    """Of each input of a whole chain, how much in it a following task would go on with; ``None``: the
    task counts nothing."""
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
        if batch_size in self.service_s:  # as most are, and a plan asks a million times
            return batch_size
        larger = [size for size in self.service_s if size >= batch_size]
        if not larger:
            raise ValueError(
                f"a batch of {batch_size} of {self.arm}, measured up to {self.max_batch}"
            )
        return min(larger)

    def times_s(self, batch_size: int) -> list[float]:
        """Service times of a batch of this size, in seconds."""
        return self.service_s[self.measured_size(batch_size)]

    def shortest_s(self, batch_size: int) -> float:
        """No batch of this size takes less: of the quickest, as if of the smallest requests."""
        smallest = 1.0 if self.sizes is None else self.sizes.least_factor(batch_size)
        return min(self.times_s(batch_size)) * min(smallest, 1.0)

    @property
    def least_input_bytes(self) -> float:
        """No request is less to send."""
        sizes = self.sizes
        return self.input_bytes * (1.0 if sizes is None else sizes.input_bytes.factor(sizes.least))

    @property
    def least_output_bytes(self) -> float:
        """No answer is."""
        sizes = self.sizes
        return self.output_bytes * (
            1.0 if sizes is None else sizes.output_bytes.factor(sizes.least)
        )

    def mean_service_s(self, batch_size: int) -> float:
        values = self.times_s(batch_size)
        return sum(values) / len(values)

    def at_average(self) -> dict[int, list[float]]:
        """Service times by batch size, each as if its batch had been of average work."""
        if self.sizes is None or not self.sizes.work:
            return self.service_s
        found = {}
        for size, times in self.service_s.items():
            line = self.sizes.growth[size]
            work = self.sizes.work[size]
            found[size] = [
                max(time / line.factor(one), SHORTEST_S)
                for time, one in zip(times, work, strict=True)
            ]
        return found

    def for_requests(
        self, mean: float, least: float, largest_of: Callable[[int], float]
    ) -> Profile:
        """What it would be, had it been measured on requests of other sizes.

        See :meth:`MeasuredSizes.at`, whose arguments these are. A profile without sizes stays as it is.
        """
        sizes = self.sizes
        if sizes is None:
            return self
        seen = sizes.at(mean, least, largest_of)
        return self.model_copy(
            update={
                "service_s": {
                    size: [
                        time * sizes.growth[size].factor(seen.growth[size].work) for time in times
                    ]
                    for size, times in self.at_average().items()
                },
                "input_bytes": self.input_bytes * sizes.input_bytes.factor(mean),
                "output_bytes": self.output_bytes * sizes.output_bytes.factor(mean),
                "sizes": seen,
            }
        )

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


def build_profile(
    measured: ArmMeasurement, batches: pd.DataFrame, requests: pd.DataFrame, task: str
) -> Profile:
    """The profile of one arm from its measurement and the raw batches and requests of the run."""
    own = batches[batches["arm"] == measured.arm]
    rows = own[own["phase"] == "profile"]
    alone = own[own["phase"] == "single-stream"]
    used: dict[int, pd.DataFrame] = {}
    for size, group in rows.groupby("batch_size"):
        # The single stream went through the same loop, and has the tail.
        used[int(str(size))] = pd.concat([group, alone]) if size == 1 else group
    service = {
        size: ((group["finished_ns"] - group["started_ns"]) / 1e9).clip(lower=SHORTEST_S).tolist()
        for size, group in used.items()
    }
    first = measured.replicates[0]
    counts = ", ".join(f"{len(found)} of {size}" for size, found in service.items())
    asked = requests[requests["arm"] == measured.arm]
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
        sizes=_sizes(first.inputs, used, service, asked),
        found=first.inputs.found and in_rows(first.inputs.found, first.inputs.skipped),
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


def _sizes(
    inputs: Inputs,
    used: Mapping[int, pd.DataFrame],
    service: Mapping[int, Sequence[float]],
    requests: pd.DataFrame,
) -> MeasuredSizes | None:
    """What the batches of the profile say of sizes; ``requests``: those of the arm."""
    if inputs.unit is None:
        return None
    batch = ["replicate", "batch_id"]
    in_batch = requests.groupby(batch)["size"].agg(list)
    sizes = {
        size: in_batch.loc[pd.MultiIndex.from_frame(group[batch])].tolist()
        for size, group in used.items()
    }
    answered = requests[requests["error"].isna()].drop_duplicates("sample")
    return measured_sizes(inputs.unit, sizes, service, inputs.sizes, answered, inputs.skipped)


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
