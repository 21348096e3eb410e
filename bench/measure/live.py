"""An arm that answers what others ask it, instead of being measured: a replica of a live server."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from bench.errors import shorten
from bench.measure.loader import Loader, build_task
from bench.measure.worker import serve, steps_of
from bench.scenario import Arm, Choice

LONGEST_ERROR = 300
TRIALS = 3
"""Batches of each size before an arm is ready: the first of a size may allocate, or compile."""


class LiveInput(NamedTuple):
    """What a client may ask."""

    encoded: bytes
    size: float
    """In the task's own unit; 0 where it has none."""


class LiveAnswer(NamedTuple):
    """What became of one input."""

    output: bytes
    error: str = ""
    """Why there is no output."""
    is_unreadable: bool = False
    """Whether that is because of the input: it could not even be preprocessed."""
    said: bytes | None = None
    """Where another stage may go on with the output: what of it is for whoever asked."""
    found: bool = False
    """Then, whether anything was found that the next stage might go on with."""


@dataclass(frozen=True)
class Expected:
    """How long batches took in a warm-up, in nanoseconds by size."""

    took_ns: Mapping[int, float]

    def __call__(self, size: int) -> float:
        """Of a size that never came, what the next larger one took, or the largest."""
        larger = (known for known in self.took_ns if known >= size)
        return self.took_ns[min(larger, default=max(self.took_ns))]


class LiveArm:
    """A task, and its models loaded by a backend.

    Args:
        hands_on: whether another task goes on with its answers.

    Raises:
        MissingRequirement: the backend cannot run here, or the model cannot be had.
        InputError: the task is none, or comes in no format that the backend reads.
    """

    def __init__(self, arm: Arm, task: Choice, hands_on: bool = False) -> None:
        self._hands_on = hands_on
        self.task = build_task(task.name, {**task.options, **arm.task})
        self._loader = Loader(arm, self.task)
        paths = self._loader.paths()
        self._loader.wait_until_ready()
        self._sessions = self._loader.load(paths)
        self.task.prepare(self._sessions)

    def answer(self, encoded: Sequence[bytes]) -> list[LiveAnswer]:
        """The answers to these inputs, served as one batch; alone, where one of them spoils it."""
        try:
            _, outputs, _ = steps_of(
                self.task, self._sessions, lambda: list(encoded), self._loader.clock
            )
            return [self._answered(output) for output, _ in zip(outputs, encoded, strict=True)]
        except Exception as error:  # whatever a client sent
            if len(encoded) > 1:
                return [alone for one in encoded for alone in self.answer([one])]
            said = shorten(f"{type(error).__name__}: {error}", LONGEST_ERROR)
            return [LiveAnswer(b"", said, not self._can_read(encoded[0]))]

    def _answered(self, output: bytes) -> LiveAnswer:
        if not self._hands_on:
            return LiveAnswer(output)
        said = self.task.keep(output)
        return LiveAnswer(output, said=said, found=bool(self.task.found(self.task.read(said))))

    def _can_read(self, encoded: bytes) -> bool:
        try:
            self.task.preprocess([encoded])
        except Exception:  # a library may raise anything
            return False
        return True

    def inputs(self) -> list[LiveInput]:
        """The task's own samples."""
        return list(map(LiveInput, self.task.input(self.task.samples), self._sizes()))

    def sizes(self) -> list[float | None]:
        """Of the inputs of the whole chain, for this task of it; ``None``: it is not asked about that one."""
        found: list[float | None] = list(self._sizes())
        for place in sorted(self.task.skipped):
            found.insert(place, None)
        return found

    def _sizes(self) -> list[float]:
        task = self.task
        return [task.size(one) if task.size_unit else 0.0 for one in task.samples]

    def warm_up(self, largest: int) -> Expected:
        """Serve the task's own samples in batches of every size; what the quickest took."""
        largest = min(largest, self.task.largest_batch or largest)
        samples = self.task.samples
        found = {}
        for size in range(1, largest + 1):
            batch = [samples[place % len(samples)] for place in range(size)]
            served = [
                serve(self.task, self._sessions, batch, self._loader.clock) for _ in range(TRIALS)
            ]
            found[size] = min(one.service_s for one in served) * 1e9
        return Expected(found)

    def close(self) -> None:
        """Let go of what sessions hold beside memory."""
        self._loader.close()
