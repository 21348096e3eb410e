"""The profile record: distributions of service time by batch size, and what else was measured."""

from __future__ import annotations

import re
import zlib

import pandas as pd

from bench.measure import STEPS, ArmMeasurement, PowerReading
from bench.record import SCHEMA_VERSION, Origin, Record


class Profile(Record):
    """What a simulation needs to know of one arm.

    ``service_s`` holds every measured service time by batch size, in the order measured. A
    simulation may use the batch sizes in it and no others.
    """

    schema_version: int = SCHEMA_VERSION
    arm: str
    task: str
    threads: int
    service_s: dict[int, list[float]]
    steps_s: dict[int, dict[str, float]]
    load_s: float
    first_call_s: float
    input_bytes: float
    output_bytes: float
    accuracy: dict[str, float]
    """By metric, over all inputs with a known truth."""
    power: PowerReading
    origin: Origin

    @property
    def max_batch(self) -> int:
        return max(self.service_s)

    def mean_service_s(self, batch_size: int) -> float:
        values = self.service_s[batch_size]
        return sum(values) / len(values)


def build_profile(measured: ArmMeasurement, batches: pd.DataFrame, task: str) -> Profile:
    """The profile of one arm from its measurement and the raw batches of the run."""
    rows = batches[(batches["arm"] == measured.arm) & (batches["phase"] == "batch sizes")]
    alone = batches[(batches["arm"] == measured.arm) & (batches["phase"] == "single stream")]
    service: dict[int, list[float]] = {}
    for size, group in rows.groupby("batch_size"):
        if size == 1:  # the single stream went through the same loop, and has the tail
            group = pd.concat([group, alone])
        service[int(str(size))] = ((group["finished_ns"] - group["started_ns"]) / 1e9).tolist()
    counts = ", ".join(f"{len(times)} of {size}" for size, times in service.items())
    cpu = measured.environment.get("cpu")
    return Profile(
        arm=measured.arm,
        task=task,
        threads=measured.threads,
        service_s=service,
        steps_s={s.batch_size: {k: s.steps[k] for k in STEPS} for s in measured.steps},
        load_s=measured.load_s,
        first_call_s=measured.first_call_s,
        input_bytes=measured.input_bytes,
        output_bytes=measured.output_bytes,
        accuracy={a.metric: a.value for a in measured.accuracy if a.group == "all"},
        power=measured.power,
        origin=Origin(
            subject=f"service times of {measured.arm}",
            provenance="measured",
            source=f"a run on {cpu}, {measured.threads} thread(s); batches measured: {counts}",
            as_of=measured.started_utc[:10],
        ),
    )


def file_name(arm: str) -> str:
    """The file a profile is kept in, under ``profiles/``: no two arms share one."""
    plain = re.sub(r"[^A-Za-z0-9._=@,-]+", "_", arm)[:100]
    if plain != arm:
        plain += f"-{zlib.crc32(arm.encode()):08x}"
    return f"{plain}.json"
