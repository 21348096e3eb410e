"""What is compared: figures of blocks of answers, live ones or simulated ones, by the same sums."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from bench.observe import Observed, answers_of, at_stage, whole
from bench.requests import Answers, Floats, Outcome
from bench.stats import empirical_quantile
from bench.ticks import PER_SECOND

PERCENTILES = (50, 90, 95, 99)


@dataclass(frozen=True)
class Figure:
    """One of them."""

    unit: str
    """``s``, ``1/s``, or nothing for a share or a count."""
    tolerance: float
    """How far a forecast may be off: relative, or of a share (``in_points``) as a difference."""
    in_points: bool = False
    from_inside: bool = False
    """Whether the server has to say what a request met."""


FIGURES: Mapping[str, Figure] = {
    "mean": Figure("s", 0.05),
    **{f"p{q}": Figure("s", 0.09) for q in PERCENTILES},
    "way": Figure("s", 0.25, from_inside=True),
    "wait": Figure("s", 0.10, from_inside=True),
    "service": Figure("s", 0.03, from_inside=True),
    "makespan": Figure("s", 0.05),
    "throughput": Figure("1/s", 0.02),
    "utilisation": Figure("", 0.03, in_points=True, from_inside=True),
    "mean_batch": Figure("", 0.05, from_inside=True),
    "slo_attainment": Figure("", 0.016, in_points=True),
}
"""``way``: of a response, what is neither waiting nor service; ``service``: of the batch."""
OF_A_STAGE = 4
"""Figures that each stage of a line has of its own."""


def at(figure: str, stage: str) -> str:
    """What a figure of one stage of a line is called."""
    return f"{figure} ({stage})"


def figure_of(name: str) -> Figure:
    """That of any stage."""
    return FIGURES[name.partition(" (")[0]]


def in_order(names: Iterable[str]) -> list[str]:
    """As they are shown; those of one kind in the order in which they come."""
    known = list(FIGURES)
    return sorted(names, key=lambda name: known.index(name.partition(" (")[0]))


@dataclass(frozen=True)
class Answered:
    """A block of answers: what its figures are made of, of those that were answered, in seconds."""

    blocks: int
    asked: int
    span_s: float
    """From the first request to the last answer."""
    response: Floats
    wait: Floats
    service: Floats
    share: Floats
    """Of its batch that each request is."""
    stages: Mapping[str, Answered] = field(default_factory=dict)
    """Of a line: what came to each stage, by its name."""

    @classmethod
    def of(cls, rows: Answers) -> Answered:
        done = rows[rows["outcome"] == Outcome.DONE]
        span = int(rows["finished"].max() - rows["arrival"].min()) if len(rows) else 0
        return cls(
            blocks=1,
            asked=len(rows),
            span_s=span / PER_SECOND,
            response=(done["finished"] - done["arrival"]) / PER_SECOND,
            wait=(done["start"] - done["reach"]) / PER_SECOND,
            service=(done["served"] - done["start"]) / PER_SECOND,
            share=1.0 / np.maximum(done["batch"], 1),
        )

    @classmethod
    def of_line(cls, rows: Observed, stages: Sequence[str]) -> Answered:
        """Of a line of stages of these names."""
        own = {name: at_stage(rows, number) for number, name in enumerate(stages, 1)}
        return replace(
            cls.of(answers_of(whole(rows, len(stages)))),
            stages={name: cls.of(answers_of(one)[one["batch"] > 0]) for name, one in own.items()},
        )

    @classmethod
    def together(cls, blocks: Sequence[Answered]) -> Answered:
        """Several blocks, each of which begins with nobody there."""
        names = blocks[0].stages
        response, wait, service, share = (
            np.concatenate([getattr(block, name) for block in blocks])
            for name in ("response", "wait", "service", "share")
        )
        return cls(
            blocks=sum(block.blocks for block in blocks),
            asked=sum(block.asked for block in blocks),
            span_s=sum(block.span_s for block in blocks),
            response=response,
            wait=wait,
            service=service,
            share=share,
            stages={name: cls.together([one.stages[name] for one in blocks]) for name in names},
        )


def figures(
    blocks: Sequence[Answered],
    replicas: Sequence[int],
    limit_s: float | None,
    inside: bool,
    is_job: bool,
) -> dict[str, float]:
    """Of several blocks together.

    Args:
        replicas: of each stage.
        limit_s: a request that takes no longer is within the SLO; ``None``: there is none.
        inside: whether the answers say how long they waited, and in which batch.
        is_job: whether each block is a job that is begun and ended.
    """
    seen = Answered.together(blocks)
    count = len(seen.response)
    if not count:
        return {}
    response = np.sort(seen.response)
    found = {"mean": float(response.mean()), "throughput": count / seen.span_s}
    for q in PERCENTILES:
        found[f"p{q}"] = empirical_quantile(response, q / 100)
    if is_job:
        found["makespan"] = seen.span_s / seen.blocks
    if limit_s is not None:
        found["slo_attainment"] = int(np.searchsorted(response, limit_s, "right")) / seen.asked
    if inside:
        for (name, stage), held in zip(seen.stages.items(), replicas, strict=False):
            own = _served(stage, seen.span_s * held, is_job)
            found |= {at(figure, name): value for figure, value in own.items()}
        if not seen.stages:
            found |= _served(seen, seen.span_s * replicas[0], is_job)
    if inside and not is_job:
        found["way"] = round(float((seen.response - seen.wait - seen.service).mean()), 9)
    return found


def _served(seen: Answered, held_s: float, is_job: bool) -> dict[str, float]:
    """What replicas did that were held for so long, all together."""
    if not len(seen.service):
        return {}
    batches, busy = float(seen.share.sum()), float(seen.service @ seen.share)
    found = {
        "service": busy / batches,
        "mean_batch": len(seen.service) / batches,
        "utilisation": busy / held_s,
    }
    if not is_job:  # what is fetched from a store waits there too, and nobody sees it
        found["wait"] = float(seen.wait.mean())
    return found
