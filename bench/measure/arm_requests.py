"""What will be measured: one request per arm and fresh process, in shuffled order."""

from __future__ import annotations

from collections.abc import Sequence

from bench.measure.budget import BUDGETS
from bench.measure.tasks import Task
from bench.record import Record
from bench.scenario import Arm, Choice, MeasureOptions
from bench.streams import Streams

EVERY_SIZE_UP_TO = 16


class ArmRequest(Record):
    """All that a fresh process needs to measure one arm."""

    arm: Arm
    task: Choice
    budget: str
    max_batch: int
    loads: list[Choice]
    seed: int
    replicate: int = 0
    reference: str | None = None
    """Path of the reference file; ``None`` where there is none."""
    no_reference: str = ""
    """Why there is none."""
    min_agreement: float | None = None


def arm_requests(
    task: Choice, arms: Sequence[Arm], options: MeasureOptions, seed: int
) -> list[ArmRequest]:
    """Every arm as often as the budget has replicates, in one shuffled order."""
    requests = [
        ArmRequest(
            arm=arm,
            task=Choice.model_validate({"name": task.name, **task.options, **arm.task}),
            budget=options.budget,
            max_batch=options.max_batch,
            loads=options.loads,
            seed=seed,
            replicate=replicate,
            min_agreement=options.min_agreement,
        )
        for arm in arms
        for replicate in range(BUDGETS[options.budget].replicates)
    ]
    order = Streams(seed, 0).get("order of the processes").permutation(len(requests))
    return [requests[index] for index in order]


def phases(loads: Sequence[Choice]) -> dict[str, Choice]:
    """Load patterns by the name their times are kept under."""
    named: dict[str, Choice] = {}
    for part in loads:
        name, number = part.name, 1
        while name in named:
            number += 1
            name = f"{part.name} {number}"
        named[name] = part
    return named


def profile_sizes(request: ArmRequest, task: Task) -> list[int]:
    """Batch sizes of the service profile: all up to 16, then 1 and 1.5 times powers of two."""
    largest = min(request.max_batch, task.largest_batch or request.max_batch)
    sizes = set(range(1, min(largest, EVERY_SIZE_UP_TO) + 1)) | {largest}
    size = EVERY_SIZE_UP_TO
    while size <= largest:
        sizes |= {s for s in (size, size * 3 // 2) if s <= largest}
        size *= 2
    return sorted(sizes)
