"""The raw times of one process, and its answers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from bench.measure.measurement import BATCH_COLUMNS, REQUEST_COLUMNS, Columns
from bench.measure.tasks import Sample, names_of
from bench.measure.worker import ServedBatch

NO_SIZES: Mapping[Sample, float] = {}


class Recorder:
    """Keeps what was served; cheap while the clock runs, tables afterwards."""

    def __init__(self, arm: str, replicate: int) -> None:
        self._arm, self._replicate = arm, replicate
        self._rows: list[tuple[str, ServedBatch, list[tuple[int, int]]]] = []

    def keep(
        self, phase: str, batch: ServedBatch, asked_ns: list[tuple[int, int]] | None = None
    ) -> None:
        """Note a batch; ``asked_ns`` has (scheduled, sent) of each request in it.

        In a closed loop a request is scheduled and sent at the moment it starts.
        """
        at = batch.started_ns
        self._rows.append((phase, batch, asked_ns or [(at, at)] * len(batch.samples)))

    def extend(self, other: Recorder, phase: str) -> None:
        """Take over what another recorder kept, under the name ``phase``."""
        self._rows.extend((phase, batch, asked) for _, batch, asked in other._rows)

    def mean_service_ns(self, phase: str) -> dict[int, float]:
        """Mean service time of the answered batches of a phase, by their size."""
        times: dict[int, list[int]] = {}
        for at, batch, _ in self._rows:
            if at == phase and batch.error is None:
                took = batch.finished_ns - batch.started_ns
                times.setdefault(len(batch.samples), []).append(took)
        return {size: sum(took) / len(took) for size, took in times.items()}

    def first_error(self, phase: str) -> str | None:
        """What the first failed batch of a phase said."""
        return next((b.error for at, b, _ in self._rows if at == phase and b.error), None)

    def batches(self) -> Columns:
        """One row per batch; failed batches have no step times and are left out."""
        table: Columns = {name: [] for name in BATCH_COLUMNS}
        for number, (phase, batch, _) in enumerate(self._rows):
            if batch.error is not None:
                continue
            times = (batch.started_ns, batch.finished_ns)
            head = (self._arm, self._replicate, phase, number, len(batch.samples), *times)
            for column, value in zip(BATCH_COLUMNS, (*head, *batch.step_seconds), strict=True):
                table[column].append(value)
        return table

    def requests(self, sizes: Mapping[Sample, float] = NO_SIZES) -> Columns:
        """One row per request, with the batch it was in; ``sizes`` of the inputs, where they have any."""
        table: Columns = {name: [] for name in REQUEST_COLUMNS}
        names = names_of(sample for _, batch, _ in self._rows for sample in batch.samples)
        for number, (phase, batch, asked) in enumerate(self._rows):
            items = zip(batch.samples, batch.input_bytes, batch.output_bytes, asked, strict=True)
            for sample, came, went, (scheduled, sent) in items:
                row = (
                    self._arm, self._replicate, phase, number, names[sample], sizes.get(sample), came, went,
                    scheduled, sent, batch.started_ns, batch.finished_ns, batch.error,
                )  # fmt: skip
                for column, value in zip(REQUEST_COLUMNS, row, strict=True):
                    table[column].append(value)
        return table

    def answers(self) -> Counter[tuple[Sample, bytes]]:
        """How often each sample was answered with what."""
        return Counter(
            pair
            for _, batch, _ in self._rows
            if batch.error is None
            for pair in zip(batch.samples, batch.outputs, strict=True)
        )
